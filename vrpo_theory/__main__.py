"""``python -m vrpo_theory``, the same as ``vrpo``."""

from vrpo_theory.cli import main

if __name__ == "__main__":
    main()
