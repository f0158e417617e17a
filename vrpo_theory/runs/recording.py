"""Runs whose evaluations are kept: resumed where they stopped, grown, repeated without a model.

Beside the store stand ``pairs.jsonl``, every pair that was ever recorded, by content, in order of first appearance,
and ``runs.jsonl``, one line per run: its models, its pairs, and what it was free to choose, the last run last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

from vrpo_theory.data import read_pairs
from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import InputError
from vrpo_theory.files import require_writable, write_atomically
from vrpo_theory.runs.console import say
from vrpo_theory.runs.inputs import Sources, read_cases
from vrpo_theory.runs.provenance import record_fields
from vrpo_theory.store import Recorded, SampleStore
from vrpo_theory.types import ROLES, Case, Model, PreferencePair, block_length

PAIRS, RUNS = "pairs.jsonl", "runs.jsonl"
DESCRIBED = ("vocabulary", "mask_token_id", "max_length")
BLOCKS = "block_length"
"""Told of models of block diffusion: what was evaluated are their responses' blocks."""
CONDITIONS = ("code", "versions", "device", "dtype")
"""Fields on which all runs of a store agree: what moves an evaluation other than model, response and mask, the three
that it is kept under. Other fields are written down with the run."""

Row = Document


@contextmanager
def opened(sources: Sources, store: Path | None, options: Fields, rank: int = 0) -> Iterator[list[Case]]:
    """Cases as `read_cases` reads them, recorded in a folder where one is named, with the options of the run."""
    if store is not None:
        require_writable(store)
    cases = read_cases(sources)
    if store is None:
        yield cases
        return
    with recorded(cases, store, record_fields(options, sources, cases), rank) as kept:
        yield kept


@contextmanager
def recorded(cases: Sequence[Case], folder: Path, fields: Fields, rank: int = 0) -> Iterator[list[Case]]:
    """The same cases, with every evaluation kept in a folder and none made twice.

    A store grows: other pairs, more of them, other seeds, designs, batches or models, renamed folders all go on with
    it. At other ``batch_tokens`` its numbers agree as far as the model's do (`Recorded`), not bit for bit, and a line
    says so.

    Parameters
    ----------
    fields : mapping
        ``label``, ``batch_tokens``, and all of `CONDITIONS`: see `vrpo_theory.runs.provenance.record_fields`.

    Raises
    ------
    InputError
        As `SampleStore.open`: other conditions, a damaged file, a second writer.
    """
    models = {id(m): m for case in cases for m in (case.policy, case.reference)}
    with SampleStore.open(folder, {name: fields[name] for name in CONDITIONS}, rank=rank) as store:
        if rank == 0:
            _say_all(store.remarks)
            _enter(folder, cases, {name: value for name, value in fields.items() if name not in CONDITIONS})
        kept = {key: Recorded(cast(Model, model), store) for key, model in models.items()}
        yield [replace(c, policy=kept[id(c.policy)], reference=kept[id(c.reference)]) for c in cases]


@contextmanager
def replayed(folder: Path) -> Iterator[tuple[list[Case], Document]]:
    """The cases of a store without its models, and the fields of its last run.

    They are all pairs that were recorded under the last run's models; what was not recorded is an error when asked.

    Raises
    ------
    InputError
        If the folder holds no complete record.
    """
    with SampleStore.read(folder) as store:
        _say_all(store.remarks)
        runs = _rows(folder / RUNS)
        if not runs or not (folder / PAIRS).is_file():
            raise InputError(f"{folder} has no {PAIRS} and {RUNS}: give the folder of a recorded run")
        last = runs[-1]
        of_models = [run for run in runs if _models(run) == _models(last)]
        wanted = {name for run in of_models for name in run["pairs"]}
        vocabulary, mask_token_id, max_length = (int(last["policy"][name]) for name in DESCRIBED)
        pairs = read_pairs(folder / PAIRS, vocabulary=vocabulary, mask_token_id=mask_token_id, max_length=max_length)
        roles = [_Absent(store, last[role]) for role in ("policy", "reference")]
        yield [Case(roles[0], roles[1], pair) for pair in pairs if _content(pair) in wanted], {**store.manifest, **last}


class _Absent(Recorded):
    """A model that is known by its record alone."""

    def __init__(self, store: SampleStore, described: Fields) -> None:
        super().__init__(None, store, str(described["fingerprint"]))
        for name in (*DESCRIBED, BLOCKS):
            object.__setattr__(self, name, described.get(name))


def _enter(folder: Path, cases: Sequence[Case], run: Row) -> None:
    """Add to the pairs what is new, and the run to the runs."""
    rows = _rows(folder / PAIRS)
    fresh = _unseen(rows, [case.pair for case in cases])
    if fresh:
        _write(folder / PAIRS, rows + fresh)
    roles: Row = {role: _described(cast(Model, cases[0].model(role))) for role in ROLES}
    run = {**run, **roles, "pairs": [_content(case.pair) for case in cases]}
    runs = _rows(folder / RUNS)
    before = {other["batch_tokens"] for other in runs} - {run["batch_tokens"]}
    if before:
        say(
            f"{folder}: earlier runs took --batch-tokens {', '.join(map(str, sorted(before)))}, this one "
            f"{run['batch_tokens']}: numbers agree to 1e-5 nats per token in float32, not bit for bit"
        )
    if runs[-1:] != [run]:
        _write(folder / RUNS, [*runs, run])


def _unseen(rows: Sequence[Row], pairs: Sequence[PreferencePair]) -> list[Row]:
    """Rows of the pairs that no row holds; an id that another pair has is given a number."""
    seen, ids, found = {_row_content(row) for row in rows}, {row["id"] for row in rows}, []
    for pair in pairs:
        row = _row(pair)
        if _row_content(row) not in seen:
            names = (f"{pair.id} ({k})" if k else pair.id for k in count())
            row["id"] = next(name for name in names if name not in ids)
            seen.add(_row_content(row))
            ids.add(row["id"])
            found.append(row)
    return found


def _row(pair: PreferencePair) -> Row:
    ids = {"chosen_ids": list(pair.chosen.ids), "rejected_ids": list(pair.rejected.ids)}
    return {"id": pair.id, "prompt_ids": list(pair.chosen.prompt), **ids}


def _row_content(row: Row) -> str:
    return json.dumps([row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]])


def _content(pair: PreferencePair) -> str:
    """Names a pair by its tokens."""
    return hashlib.sha256(pair.chosen.key + pair.rejected.key).hexdigest()[:16]


def _described(model: Model) -> Row:
    told = {"fingerprint": model.fingerprint, **{name: getattr(model, name) for name in DESCRIBED}}
    return told if block_length(model) is None else told | {BLOCKS: block_length(model)}


def _models(run: Row) -> tuple[str, str]:
    return run["policy"]["fingerprint"], run["reference"]["fingerprint"]


def _rows(path: Path) -> list[Row]:
    """The JSON objects of a file, none if there is no such file."""
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise InputError(f"{path} is not what was written ({error}): put back a copy, or delete it") from None


def _write(path: Path, rows: Sequence[Row]) -> None:
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))


def _say_all(remarks: Sequence[str]) -> None:
    for remark in remarks:
        say(remark)
