"""What the commands have in common: lists of numbers, and JSON on standard output."""

from __future__ import annotations

from vrpo_theory.console import print_json
from vrpo_theory.errors import InputError

__all__ = ["numbers", "print_json"]


def numbers(text: str, kind: type, option: str) -> list:
    """Numbers from "1,2,8"; InputError for anything else."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r} is not a list of numbers: write them as in 1,2,8") from None
