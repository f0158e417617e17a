"""What training at toy scale says of the paper's findings, from the stored results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vrpo_theory.reproduce.base import EXHIBITS
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import plus_minus

WORDS = {"order holds": "reproduced", "order fails": "not reproduced", "inconclusive": "inconclusive",
         "agrees": "beyond the paper: no difference", "differs": "beyond the paper: a difference"}  # fmt: skip
"""What the verdict on a difference of trained arms says of the finding."""


def findings(root: Path) -> list[Sequence[str]]:
    """What training at toy scale says of the paper's findings: every judged difference, from the stored results."""
    rows: list[Sequence[str]] = [("exhibit", "finding", "trained at", "difference", "95%", "printed", "at toy scale")]
    for e in EXHIBITS.members():
        path = root / "figures" / f"{e.name}.json"
        if issubclass(e.options, Training) and path.exists():
            cells = json.loads(path.read_text())["cells"]
            rows += [_finding(e.name, cell) for cell in cells if cell["verdict"] is not None]
    return rows


def _finding(name: str, cell: Mapping[str, Any]) -> Sequence[str]:
    where = dict(cell["column"])
    regime, place = where.pop("model"), " ".join(str(part) for part in where.values())
    low, high = cell["interval"]
    paper = "-" if cell["paper"] is None else f"{cell['paper']:+.3f}"
    value, interval = plus_minus(Estimate(cell["value"], cell["stderr"])), f"{low:+.3f} to {high:+.3f}"
    word = WORDS[cell["verdict"]] + ": no difference" * (cell["verdict"] == "order fails" and "TOST" in cell["note"])
    return f"`{name}`", f"{place} {cell['row']}", regime, value, interval, paper, word
