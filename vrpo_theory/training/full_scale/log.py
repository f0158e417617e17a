"""The log of a run: a line of JSON per step and evaluation, which a resumed run takes up where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from vrpo_theory.documents import finite
from vrpo_theory.files import write_atomically


class Log:
    """Lines in a file.

    Parameters
    ----------
    path : path
    step : int
        The last step that is kept of an earlier run.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        write_atomically(path, "".join(line + "\n" for line in _kept(path, step)))

    def write(self, row: Mapping[str, object]) -> None:
        """Add a line; what is not a finite number is null."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite(row)[0], allow_nan=False) + "\n")


def _kept(path: Path, step: int) -> list[str]:
    """Whole lines of steps up to this one."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [line for line in lines if json.loads(line)["step"] <= step]
