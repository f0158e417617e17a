"""Runs of the user: where cases come from, what is kept of them, what is said of them, who computes them."""
