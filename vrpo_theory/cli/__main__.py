"""``python -m vrpo_theory.cli``."""

from vrpo_theory.cli import main

main()
