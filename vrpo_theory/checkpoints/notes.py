"""One line on standard error for each thing in a checkpoint that is not used."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def note(message: str) -> None:
    """Warn the user of something that does not end the run."""
    print(message, file=sys.stderr)


def some(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first
