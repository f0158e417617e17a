"""Losses of a preference pair, each a function of its score; one file each, found by name."""

from vrpo_theory.losses.base import LOSSES, Loss

__all__ = ["LOSSES", "Loss"]
