"""Runs exhibits one by one; each is on disk before the next starts, so an interrupted run resumes by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vrpo_theory import plotting
from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import CheckError, InputError
from vrpo_theory.files import require_writable, write_atomically
from vrpo_theory.reproduce import report
from vrpo_theory.reproduce.base import EXHIBITS, Context, Exhibit
from vrpo_theory.reproduce.comparison import differences
from vrpo_theory.reproduce.options import given
from vrpo_theory.runs import ranks
from vrpo_theory.runs.console import print_json, say
from vrpo_theory.runs.frames import as_csv
from vrpo_theory.runs.inputs import Sources
from vrpo_theory.runs.provenance import provenance, signed, unaltered
from vrpo_theory.runs.recording import opened, replayed


def find(names: Sequence[str]) -> list[Exhibit]:
    """Exhibits by name or alias, each once; InputError lists the names."""
    try:
        return list({EXHIBITS[name].name: EXHIBITS[name] for name in names}.values())
    except KeyError as error:
        raise InputError(str(error.args[0])) from None


def run(exhibit: Exhibit, context: Context, out: Path, *, fresh: bool = False) -> Document:
    """Compute an exhibit and write its JSON, Markdown and figure; unchanged inputs are read back instead."""
    context = exhibit.ready(context)
    origin = provenance(context.options, context.cases)
    path = _file(exhibit, out, "json")
    known = None if fresh else _read(path)
    if known is not None and known["provenance"].get("inputs") == origin["inputs"] and _trusted(known, path):
        say(f"{exhibit.name}: inputs unchanged, read from {path} (--fresh recomputes)")
        if ranks.rank() == 0:
            _illustrate(exhibit, known, out)
        return known
    document = signed({"cells": exhibit.documents(context), "provenance": origin})
    if ranks.rank() == 0:
        _write(exhibit, document, out)
    return document


def check_against(exhibit: Exhibit, context: Context, out: Path) -> Document:
    """Recompute an exhibit and compare it with the results in ``out``; CheckError names the first differences."""
    stored = _read(out / f"{exhibit.name}.json")
    if stored is None:
        raise InputError(f"--check: {out / exhibit.name}.json is missing or unreadable; run without --check first")
    context = exhibit.ready(context)
    cells = exhibit.documents(context)
    found = list(differences(stored["cells"], cells, context.cases))
    if found:
        raise CheckError(f"{exhibit.name}: {len(found)} differences from {out}; first: {'; '.join(found[:3])}")
    say(f"{exhibit.name}: {len(cells)} cells in {out} hold")
    return {"cells": cells, "provenance": provenance(context.options, context.cases)}


def _read(path: Path) -> Document | None:
    try:
        document = json.loads(path.read_text())
        return document if isinstance(document["cells"], list) and isinstance(document["provenance"], dict) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _trusted(known: Document, path: Path) -> bool:
    """Whether a file holds the numbers that were computed; one that was edited is reported and renamed."""
    if unaltered(known):
        return True
    if "cells" in known["provenance"] and ranks.rank() == 0:
        aside = path.with_suffix(".edited.json")
        path.replace(aside)
        say(f"{path} was changed after it was computed: kept as {aside}, and computed again")
    return False


ILLUSTRATIONS: dict[str, Callable[[Exhibit, Document], str | bytes]] = {
    "md": report.markdown,
    "csv": lambda exhibit, document: as_csv(document),
    "png": lambda exhibit, document: plotting.png(lambda: exhibit.plot(document["cells"])),
    "svg": lambda exhibit, document: plotting.svg(lambda: exhibit.plot(document["cells"])),
}
"""Files beside the numbers, by their ending."""


def _file(exhibit: Exhibit, out: Path, ending: str) -> Path:
    return out / f"{exhibit.name}.{ending}"


def _write(exhibit: Exhibit, document: Document, out: Path) -> None:
    """Numbers first; what illustrated other numbers goes before they come."""
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    for ending in ILLUSTRATIONS:
        _file(exhibit, out, ending).unlink(missing_ok=True)
    write_atomically(_file(exhibit, out, "json"), text)
    _illustrate(exhibit, document, out)


def _illustrate(exhibit: Exhibit, document: Document, out: Path) -> None:
    """Write page and picture where they are missing."""
    for ending, render in ILLUSTRATIONS.items():
        path = _file(exhibit, out, ending)
        if not path.exists():
            with _optional(str(path)):
                write_atomically(path, render(exhibit, document))


@contextmanager
def _optional(what: str) -> Iterator[None]:
    """The numbers are kept without it: any error is a line of warning."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        say(f"warning: no {what}: {reason}; the numbers are kept, the same command tries again")


@dataclass(frozen=True)
class Order:
    """What the user asked for.

    Parameters
    ----------
    exhibits : sequence of Exhibit
    context : Context
        Without cases; ``own`` maps every option that some exhibit has to its value.
    sources : Sources
    out : path
        Folder of the results.
    store, from_store : path, optional
        Folder that keeps the evaluations; one to take them from.
    as_json, check, fresh, paper : bool
        As the command's options.
    """

    exhibits: Sequence[Exhibit]
    context: Context
    own: Fields
    sources: Sources
    out: Path
    store: Path | None = None
    from_store: Path | None = None
    as_json: bool = False
    check: bool = False
    fresh: bool = False
    paper: bool = False

    def told(self, exhibit: Exhibit, context: Context) -> Context:
        """The context with this exhibit's own options."""
        return replace(context, own=given(exhibit.options, self.own))


def main(order: Order) -> None:
    """Run or check the exhibits and print them, as tables or as one JSON document."""
    if not order.check:
        require_writable(order.out, *(f"{e.name}.{kind}" for e in order.exhibits for kind in ("json", *ILLUSTRATIONS)))
    ranks.join()
    with _on(order) as ready:
        documents = {exhibit.name: _document(order, exhibit, ready) for exhibit in order.exhibits}
    if ranks.rank() > 0:
        return
    if order.as_json:
        print_json({"exhibits": documents})
    for exhibit in order.exhibits:
        if not order.as_json:
            with _optional(f"table of {exhibit.name}"):
                report.print_tables(exhibit, documents[exhibit.name], paper=order.paper)
        if not order.check:
            _say_where(exhibit, order.out)


def _document(order: Order, exhibit: Exhibit, ready: Context) -> Document:
    context = order.told(exhibit, ready)
    if order.check:
        return check_against(exhibit, context, order.out)
    return run(exhibit, context, order.out, fresh=order.fresh)


def _say_where(exhibit: Exhibit, out: Path) -> None:
    others = [f".{ending}" for ending in ILLUSTRATIONS if _file(exhibit, out, ending).exists()]
    say("written: " + ", ".join([str(_file(exhibit, out, "json")), *others]))


@contextmanager
def _on(order: Order) -> Iterator[Context]:
    """The context on toys, on the user's checkpoints and pairs, or on a record of them."""
    sources, store, context = order.sources, order.store, replace(order.context, scale="real")
    if not (sources.given or order.from_store):
        if store:
            raise InputError("--store keeps evaluations of checkpoints: give --policy, --reference and --pairs too")
        yield order.context
        return
    toy_only = [e.name for e in order.exhibits if "real" not in e.scales]
    if toy_only:
        raise InputError(f"{', '.join(toy_only)}: on toys only; drop --policy, --reference, --pairs and --from-store")
    if order.from_store:
        with _replayed(order, order.from_store, context) as ready:
            yield ready
        return
    with opened(sources, store, context.options, ranks.rank()) as cases:
        yield replace(context, cases={sources.label: cases})


@contextmanager
def _replayed(order: Order, folder: Path, context: Context) -> Iterator[Context]:
    """The context on a record; one line on what evaluations alone do not give."""
    if order.sources.given:
        raise InputError("--from-store needs no models and has its pairs: drop --policy, --reference and --pairs")
    with replayed(folder) as (cases, fields):
        context = replace(context, device=fields["device"], dtype=fields["dtype"], recorded=True)
        rows = [row for e in order.exhibits for row in e.beyond_records(order.told(e, context))]
        if rows:
            say(f"{folder} gives no {' and no '.join(rows)}: they need the models (--policy, --reference, --pairs)")
        yield replace(context, cases={fields["label"]: cases[: context.limit]})
