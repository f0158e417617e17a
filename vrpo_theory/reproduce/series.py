"""From cells to what a figure draws: every method that the cells have, each under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vrpo_theory.documents import Document, Fields
from vrpo_theory.plotting import Line, Points
from vrpo_theory.reproduce.base import Cells
from vrpo_theory.reproduce.report import column_label

Label = Callable[[Fields], str]
"""Of a cell's column."""


def models(cells: Cells) -> list[str]:
    """Names of the models, in order."""
    return list(dict.fromkeys(c["column"]["model"] for c in cells))


def lines(cells: Cells, label: Label, x: str, value: Callable[[Fields], Any] | None = None) -> dict[str, Line]:
    """One line per label (and method, where one label has several): values against an entry of the column.

    With standard errors, unless a value of the caller's own is drawn.
    """
    found: dict[str, tuple[list[Any], list[Any], list[Any]]] = {}
    for cell, name in _named(cells, label):
        xs, ys, errors = found.setdefault(name, ([], [], []))
        xs.append(cell["column"][x])
        ys.append(cell["value"] if value is None else value(cell))
        errors.append(cell["stderr"] if value is None else None)
    return dict(found)


def points(cells: Cells, label: Label, place: Label = column_label) -> dict[str, Points]:
    """Values with standard errors by place, one series per label (and method, where there are several)."""
    found: dict[str, Document] = {}
    for cell, name in _named(cells, label):
        found.setdefault(name, {})[place(cell["column"])] = (cell["value"], cell["stderr"])
    return dict(found)


def printed(cells: Cells) -> Points:
    """The paper's numbers by column, which have no errors."""
    return {column_label(c["column"]): (c["paper"], None) for c in cells}


def _named(cells: Cells, label: Label) -> list[tuple[Fields, str]]:
    """A method is named where it tells two series of one label apart."""
    named = [(c, label(c["column"])) for c in cells]
    methods: dict[str, set[str]] = {}
    for c, name in named:
        methods.setdefault(name, set()).add(c["method"])
    return [(c, f"{name}, {c['method']}" if len(methods[name]) > 1 else name) for c, name in named]
