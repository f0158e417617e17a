"""Cells for people: Markdown, a terminal table, and the picture as PNG."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vrpo_theory.reproduce.base import Exhibit
from vrpo_theory.uncertainty import with_error

Cells = Sequence[Mapping[str, Any]]


MOST_COLUMNS = 8
MANY_PAIRS = 16
"""Fewest pairs whose bootstrap interval is shown beside the mean: resampling fewer understates it."""


def grid(cells: Cells) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Per model: its name, a header, and lines of text; many columns are laid on their side."""
    for model in dict.fromkeys(c["column"].get("model", "") for c in cells):
        part = [c for c in cells if c["column"].get("model", "") == model]
        columns = list(dict.fromkeys(column_label(c["column"]) for c in part))
        lines = []
        for row in dict.fromkeys(c["row"] for c in part):
            found = [c for c in part if c["row"] == row]
            lines += [[row * (k == 0), *line] for k, line in enumerate(_lines(found, columns))]
        table = [["", "", *columns], *lines]
        if len(columns) > MOST_COLUMNS:
            heads = [f"{row} {kind}" for row, kind, *_ in lines]
            table = [["", *heads], *([c, *(line[2 + k] for line in lines)] for k, c in enumerate(columns))]
        yield model, table[0], table[1:]


def column_label(column: Mapping[str, Any]) -> str:
    """A configuration as "4x1" (n_t x n_yt), other columns as their values."""
    rest = {k: v for k, v in column.items() if k != "model"}
    if {"n_t", "n_yt", "shared"} <= rest.keys():
        return f"{rest['n_t']}x{rest['n_yt']}" + ("" if rest["shared"] else " apart")
    return " ".join(str(v) for v in rest.values())


def _lines(cells: Cells, columns: Sequence[str]) -> Iterator[list[str]]:
    """One row of the exhibit: a line a method, then what is predicted, printed, and judged."""

    def line(name: str, text: dict[str, str]) -> list[str]:
        return [name, *(text.get(column, "") for column in columns)]

    methods = [m for m in dict.fromkeys(c["method"] for c in cells) if m != "paper"]
    for method in methods:
        found = [c for c in cells if c["method"] == method]
        yield line(method, {column_label(c["column"]): with_error(c["value"], c["stderr"], c["df"]) for c in found})
        spans = {column_label(c["column"]): _span(c["interval"]) for c in found if _telling(c)}
        if spans:
            yield line("95%", spans)
    for name, key in (("predicted", "predicted"), ("paper", "paper"), ("verdict", "verdict")):
        text = {column_label(c["column"]): _text(c[key]) for c in reversed(cells) if c[key] is not None}
        if text:
            yield line(name, text)


def _telling(cell: Mapping[str, Any]) -> bool:
    """Whether a cell's interval says more than its value."""
    interval, pairs = cell["interval"], cell["n_pairs"]
    return interval is not None and pairs >= MANY_PAIRS and interval[0] < interval[1]


def _span(interval: Sequence[float]) -> str:
    return "{:.2g}..{:.2g}".format(*interval)


def _text(value: Any) -> str:
    words = {"order holds": "holds", "order fails": "fails", "inconclusive": "?"}
    return words.get(value, value) if isinstance(value, str) else f"{value:.3g}"


LEGEND = {
    "shared": "n_t x n_yt; apart: policy and reference do not share masks",
    "stderr": "0.0247(7): 0.0247 with Monte Carlo standard error 0.0007",
    "interval": "95%: bootstrap interval of the mean over pairs, from 16 pairs on",
    "predicted": "predicted: by the statement or quadrature that the value is held against",
    "paper": "paper: its printed number (8B model, other pairs: compare orders, not values)",
    "verdict": "verdict: does value - base have the paper's sign, or the value agree; ? where noise hides it",
}


def legend(cells: Cells) -> str:
    """How to read what these cells show, and no more."""
    found = {k for c in cells for k in LEGEND if c.get(k) is not None or k in c["column"]}
    if not any(map(_telling, cells)):
        found.discard("interval")
    return "; ".join(text for key, text in LEGEND.items() if key in found)


def markdown(exhibit: Exhibit, document: Mapping[str, Any]) -> str:
    """The whole exhibit as a Markdown page."""
    parts = [f"# {exhibit.title}", f"{exhibit.paper_ref}. {legend(document['cells'])}".strip()]
    for model, header, lines in grid(document["cells"]):
        table = [header, ["---"] * len(header), *lines]
        parts += [f"## {model}"] * bool(model) + ["\n".join("| " + " | ".join(line) + " |" for line in table)]
    parts.append("\n".join(f"- {note}" for note in notes(document["cells"])))
    parts.append("```json\n" + json.dumps(document["provenance"], indent=1) + "\n```")
    return "\n\n".join(parts) + "\n"


def notes(cells: Cells) -> list[str]:
    """Each note once, with the rows it speaks of."""
    said: dict[str, list[str]] = {}
    for cell in cells:
        if cell["note"]:
            said.setdefault(cell["note"], []).append(cell["row"])
    return [f"{', '.join(dict.fromkeys(rows))}: {note}" for note, rows in said.items()]


def show(exhibit: Exhibit, document: Mapping[str, Any]) -> None:
    """Print the exhibit's tables on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
    console.print(f"{exhibit.title} ({exhibit.paper_ref})", style="bold")
    for model, header, lines in grid(document["cells"]):
        table = Table(title=model or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for k, name in enumerate(header):
            table.add_column(name, justify="left" if k < 2 else "right", no_wrap=True)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    for remark in [legend(document["cells"]), *notes(document["cells"])]:
        console.print(remark, style="dim")


def picture(exhibit: Exhibit, document: Mapping[str, Any]) -> bytes:
    """The exhibit's figure as PNG."""
    figure = exhibit.plot(document["cells"])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
