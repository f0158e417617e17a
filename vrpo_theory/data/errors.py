"""What goes wrong in one row, and in a file of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrpo_theory.errors import InputError

SHOWN = 20


class RowError(Exception):
    """Why one row is refused; `vrpo_theory.data.read_pairs` collects these into one `BadRows`."""


class BadRows(InputError):  # noqa: N818
    """Every refused row of a file, one line ``file:line: reason`` each (the first 20 are shown).

    Parameters
    ----------
    path : path
        The file.
    reasons : sequence of (int, str)
        Line number, from 1, and reason of every refused row; kept whole as an attribute.
    unit : {"line", "row"}
        What the numbers count; of rows, as in an array or a table, they are written ``file:row 3: reason``.
    """

    def __init__(self, path: str | Path, reasons: Sequence[tuple[int, str]], unit: str = "line") -> None:
        self.path, self.reasons = path, tuple(reasons)
        word = "" if unit == "line" else f"{unit} "
        lines = [f"{path}:{word}{number}: {reason}" for number, reason in self.reasons[:SHOWN]]
        if len(self.reasons) > SHOWN:
            lines.append(f"... and {len(self.reasons) - SHOWN} more")
        super().__init__("\n".join(lines))
