"""The generated parts of ``README.md``: what a budget buys, and how ``make table3`` begins; from stored results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vrpo_theory import tables
from vrpo_theory.documents import Fields
from vrpo_theory.reproduce.base import Cells
from vrpo_theory.reproduce.report import computed, grid
from vrpo_theory.uncertainty import with_error

HEAD = 10
"""Lines of the ablation that are shown: header, score, and its ratios to base."""


def budget(root: Path) -> list[Sequence[str]]:
    """Variance of the score by way of sampling and forward passes; the last row compares the last two ways."""
    cells = _stored(root, "budget")
    passes = list(dict.fromkeys(c["column"]["passes"] for c in cells))
    by_scheme = {c["column"]["scheme"]: _row(cells, c["column"]["scheme"]) for c in cells}
    rows = [(name, *(with_error(c["value"], c["stderr"], c["df"]) for c in row)) for name, row in by_scheme.items()]
    *_, vrpo, ours = by_scheme.values()
    gains = (f"{v['value'] / o['value']:.2g}" for v, o in zip(vrpo, ours, strict=True))
    return [("forward passes", *map(str, passes)), *rows, ("VRPO over the default", *gains)]


def ablation(root: Path) -> str:
    """The first lines of the table, as a block of code."""
    _, header, lines = next(grid(computed(_stored(root, "table3"))))
    return "```\n" + "\n".join(tables.table(header, lines, labels=2).splitlines()[:HEAD]) + "\n```\n"


def _row(cells: Cells, scheme: str) -> list[Fields]:
    return [c for c in cells if c["column"]["scheme"] == scheme]


def _stored(root: Path, exhibit: str) -> list[Fields]:
    cells: list[Fields] = json.loads((root / "figures" / f"{exhibit}.json").read_text())["cells"]
    return cells
