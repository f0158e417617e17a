"""Cells as Markdown pages and as tables of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from vrpo_theory import tables
from vrpo_theory.documents import Document, Fields
from vrpo_theory.reproduce.base import Cells, Exhibit
from vrpo_theory.runs import verdicts
from vrpo_theory.runs.console import show, show_table
from vrpo_theory.schemes import Scheme
from vrpo_theory.uncertainty import with_error

MOST_COLUMNS = 8
MANY_PAIRS = 16
"""Fewest pairs whose bootstrap interval is shown beside the mean: resampling fewer understates it."""


def grid(cells: Cells) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Per model: its name, a header, and lines of text; many columns are laid on their side."""
    for model in dict.fromkeys(c["column"].get("model", "") for c in cells):
        part = [c for c in cells if c["column"].get("model", "") == model]
        columns = list(dict.fromkeys(column_label(c["column"]) for c in part))
        rows = {row: [c for c in part if c["row"] == row] for row in dict.fromkeys(c["row"] for c in part)}
        lines = [[_with_unit(found[0]), *line] for found in rows.values() for line in _lines(found, columns)]
        if len(columns) > MOST_COLUMNS:
            heads = [f"{row} {kind}" for row, kind, *_ in lines]
            table = [["", *heads], *([c, *(line[2 + k] for line in lines)] for k, c in enumerate(columns))]
        else:
            before = ["", *(row for row, *_ in lines)]
            table = [
                ["", "", *columns],
                *([row * (row != b), *line] for b, (row, *line) in zip(before, lines, strict=False)),
            ]
        yield model, table[0], table[1:]


def _with_unit(cell: Fields) -> str:
    return f"{cell['row']}  ({cell['unit']})" if cell["unit"] else str(cell["row"])


def configuration(scheme: Scheme) -> Document:
    """A scheme of iid counts as part of a cell's column."""
    return {"n_t": scheme.budget.n_t, "n_yt": scheme.budget.n_yt, "shared": scheme.coupling.shared}


def column_label(column: Fields) -> str:
    """A configuration as "4x1" (n_t x n_yt), other columns as their values."""
    rest = {k: v for k, v in column.items() if k != "model"}
    if {"n_t", "n_yt", "shared"} <= rest.keys():
        return f"{rest['n_t']}x{rest['n_yt']}" + ("" if rest["shared"] else " apart")
    return " ".join(str(v) for v in rest.values())


def _lines(cells: Cells, columns: Sequence[str]) -> Iterator[list[str]]:
    """One row of the exhibit: one line per method, then what is predicted, printed, and judged."""

    def line(name: str, text: dict[str, str]) -> list[str]:
        return [name, *(text.get(column, "") for column in columns)]

    methods = [m for m in dict.fromkeys(c["method"] for c in cells) if m != "paper"]
    for method in methods:
        found = [c for c in cells if c["method"] == method]
        yield line(method, {column_label(c["column"]): with_error(c["value"], c["stderr"], c.get("df")) for c in found})
        spans = {column_label(c["column"]): _span(c["interval"]) for c in found if _telling(c)}
        if spans:
            yield line("95%", spans)
    for name, key in (("predicted", "predicted"), ("paper", "paper"), ("verdict", "verdict")):
        text = {column_label(c["column"]): _text(c[key]) for c in reversed(cells) if c[key] is not None}
        if text:
            yield line(name, text)


def _telling(cell: Fields) -> bool:
    """Whether a cell's interval says more than its value."""
    interval, pairs = cell["interval"], cell["n_pairs"]
    return interval is not None and (pairs is None or pairs >= MANY_PAIRS) and interval[0] < interval[1]


def _span(interval: Sequence[float]) -> str:
    return "{:.2g}..{:.2g}".format(*interval)


def _text(value: object) -> str:
    words = {"order holds": "holds", "order fails": "fails", "inconclusive": "?"}
    return words.get(value, value) if isinstance(value, str) else f"{value:.3g}"


LEGEND = {
    "shared": "n_t x n_yt; apart: policy and reference do not share masks",
    "stderr": "0.0247(7): 0.0247 with Monte Carlo standard error 0.0007",
    "interval": "95%: interval of the value; over pairs by the bootstrap, from 16 pairs on",
    "predicted": "predicted: by the statement or quadrature that the value is held against",
    "paper": "paper: its printed number (8B model, other pairs: compare orders, not values)",
    "verdict": "verdict: does value - base have the paper's sign, or the value agree; ? where noise hides it",
}


def legend(cells: Cells) -> list[str]:
    """How to read what these cells show, and no more."""
    found = {k for c in cells for k in LEGEND if c.get(k) is not None or k in c["column"]}
    if not any(map(_telling, cells)):
        found.discard("interval")
    return [text for key, text in LEGEND.items() if key in found]


def computed(cells: Cells) -> Cells:
    """Without the rows that the paper alone has."""
    return [c for c in cells if c["method"] != "paper"]


def markdown(exhibit: Exhibit, document: Fields) -> str:
    """The whole exhibit as a Markdown page, without the rows that the paper alone has."""
    cells = computed(document["cells"])
    parts = [f"# {exhibit.title}", f"{exhibit.paper_ref}. {'; '.join(legend(cells))}".strip()]
    for model, header, lines in grid(cells):
        table = [header, ["---"] * len(header), *lines]
        parts += [f"## {_escaped(model)}"] * bool(model)
        parts.append("\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in table))
    parts.append("\n".join(f"- {_escaped(note)}" for note in notes(cells)))
    parts += [_escaped(line) for line in verdicts.of_cells(document).splitlines()]
    parts.append("```json\n" + json.dumps(document["provenance"], indent=1) + "\n```")
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """The text as Markdown shows it: no cell, code, link, emphasis, formula or emoji begins in a name."""
    return re.sub(r"([\\`|<>\[\]*$~]|(?<!\w)_|_(?!\w)|:(?=\w+:))", r"\\\1", tables.visible(text))


def notes(cells: Cells) -> list[str]:
    """Each note once, with the rows it speaks of."""
    said: dict[str, list[str]] = {}
    for cell in cells:
        if cell["note"]:
            said.setdefault(cell["note"], []).append(cell["row"])
    return [f"{', '.join(dict.fromkeys(rows))}: {note}" for note, rows in said.items()]


def print_tables(exhibit: Exhibit, document: Fields, *, paper: bool = False) -> None:
    """Print how to read the exhibit, its tables and its notes; with ``paper``, also rows that the paper alone has."""
    cells = document["cells"] if paper else computed(document["cells"])
    width = tables.terminal_width()
    for line in [f"{exhibit.title} ({exhibit.paper_ref})", *legend(cells)]:
        show(tables.wrapped(line, width))
    for model, header, lines in grid(cells):
        show("")
        show_table(header, lines, title=model, labels=2 if header[1:2] == [""] else 1)
    show("")
    for line in [*notes(cells), *verdicts.of_cells(document).splitlines()]:
        show(tables.wrapped(line, width))
