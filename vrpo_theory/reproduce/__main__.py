"""``python -m vrpo_theory.reproduce [--list] EXHIBIT...``, the same as ``vrpo reproduce``."""

from vrpo_theory.cli.reproduce import app

if __name__ == "__main__":
    app(prog_name="python -m vrpo_theory.reproduce")
