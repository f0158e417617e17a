"""One line on standard error for what is passed over, so that nothing is passed over in silence (layer 1)."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def note(message: str) -> None:
    """Tell the person something that does not end the run."""
    print(message, file=sys.stderr)


def some(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    first, *rest = sorted(names)
    return f"{first} and {len(rest)} more" if rest else first


def line(error: Exception) -> str:
    """An error's own words on one line; of the system's errors the reason alone."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())
