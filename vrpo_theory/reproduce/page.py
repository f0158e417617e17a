"""``vrpo report``: all results of a folder as one HTML page that needs no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory import __version__, plotting
from vrpo_theory.documents import Fields
from vrpo_theory.errors import InputError
from vrpo_theory.reproduce import report
from vrpo_theory.reproduce.base import EXHIBITS
from vrpo_theory.runs import frames, pictures, verdicts
from vrpo_theory.runs.console import say
from vrpo_theory.tables import visible
from vrpo_theory.uncertainty import with_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"pairs": "Scores of pairs", "ranking": "Plan of a budget", "findings": "Audit of an estimator"}
COLUMNS = {
    "pairs": ("id", "method", "margin", "score", "stderr", "df"),
    "ranking": ("design", "weighting", "n_t", "n_yt", "var_score", "stderr"),
    "findings": ("toy", "length", "n", "verdict", "bias", "stderr", "calls"),
}
"""Columns of a table on the page; the CSV has all."""
MOST = 200
"""Rows of a table on the page."""


@dataclass(frozen=True)
class Section:
    """One result on the page; ``tables`` are (caption, header, rows), ``svg`` is markup."""

    name: str
    title: str
    verdict: str
    legend: list[str]
    tables: list[tuple[str, list[str], list[list[str]]]]
    notes: list[str]
    svg: str
    provenance: str


def page(folder: Path) -> str:
    """The page as HTML.

    Raises
    ------
    InputError
        If the folder holds no result.
    """
    from jinja2 import Environment, PackageLoader

    found = sorted(_results(folder), key=lambda result: not _kind(result[1]))  # own runs before exhibits
    sections = [_section(path.stem, document) for path, document in found]
    if not sections:
        raise InputError(f"{folder} holds no results: expected JSON files of vrpo reproduce, or of --out of others")
    environment = Environment(loader=PackageLoader("vrpo_theory.reproduce", "."), autoescape=True)
    return environment.get_template("page.html").render(sections=sections, version=__version__, folder=str(folder))


def _results(folder: Path) -> Iterator[tuple[Path, Fields]]:
    """Files of the folder that are results, by name."""
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and (_kind(document) or isinstance(document.get("cells"), list)):
            yield path, document


def _kind(document: Fields) -> str:
    return next((key for key in KINDS if key in document), "")


def _section(name: str, document: Fields) -> Section:
    make = _own_run if _kind(document) else _exhibit
    return make(name, document)


def _exhibit(name: str, document: Fields) -> Section:
    known = EXHIBITS[name] if name in EXHIBITS.names() else None
    cells = report.computed(document["cells"])
    title = f"{known.title} ({known.paper_ref})" if known else name
    svg = _svg(name, lambda: known.plot(document["cells"])) if known else ""
    grids = list(report.grid(cells))
    return _made(name, title, document, report.legend(cells), grids, report.notes(cells), svg)


def _own_run(name: str, document: Fields) -> Section:
    kind = _kind(document)
    rows, columns = frames.rows(document), list(COLUMNS[kind])
    text = [[_text(row.get(column)) for column in columns] for row in rows[:MOST]]
    more = f"first {MOST} of {len(rows)}" if len(rows) > MOST else ""
    svg = _svg(name, partial(pictures.of, document))
    return _made(name, KINDS[kind], document, [], [(more, columns, text)], list(document.get("notes", [])), svg)


def _made(name: str, title: str, document: Fields, legend: Any, tables: Any, notes: Any, svg: str) -> Section:
    provenance = json.dumps(document.get("provenance", {}), indent=1)
    said = verdicts.of(document)
    return Section(visible(name), title, said, legend, tables, notes, svg, provenance)


def _svg(name: str, draw: Callable[[], Figure]) -> str:
    """The figure's markup, its ids told apart from those of other figures; none if it cannot be drawn."""
    try:
        text = plotting.svg(draw)
    except Exception as error:  # whatever a document holds: the numbers are shown without it
        say(f"warning: no figure of {name}: {type(error).__name__}: {error}")
        return ""
    mark = re.sub(r"\W", "_", name)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{mark}-", text[text.index("<svg") :])
    return re.sub(
        r'(<svg [^>]*?)width="[^"]*" height="[^"]*"',
        r"\1",
        re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S),
        count=1,
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return with_error(value, None)
    return "-" if value is None else visible(str(value))
