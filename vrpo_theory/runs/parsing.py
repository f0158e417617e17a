"""Text of a command line to values."""

from __future__ import annotations

import math
from typing import TypeVar

from vrpo_theory.errors import InputError

Number = TypeVar("Number", int, float)


def numbers(
    text: str, kind: type[Number], name: str, *, least: float = 0, count: int | None = None, example: str = "1,2,8"
) -> list[Number]:
    """Numbers from "1,2,8"; InputError for other text, numbers not finite or below the least, or too few or many."""
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{name} {text!r} is not a list of numbers: write them as in {example}") from None
    if not all(math.isfinite(number) and number >= least for number in found):
        raise InputError(f"{name} {text!r}: every number must be finite and at least {least:g}")
    if count not in (None, len(found)):
        raise InputError(f"{name} {text!r}: expected {count} numbers, as in {example}")
    return found
