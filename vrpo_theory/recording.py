"""Runs whose evaluations are kept: resumed where they stopped, repeated without a model (layer 5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrpo_theory.data import read_pairs
from vrpo_theory.errors import InputError
from vrpo_theory.files import write_atomically
from vrpo_theory.inputs import Sources, read_cases
from vrpo_theory.sampling.store import Recorded, SampleStore
from vrpo_theory.types import Case

PAIRS = "pairs.jsonl"
DESCRIBED = ("vocabulary", "mask_token_id", "max_length")


@contextmanager
def opened(
    sources: Sources, store: Path | None, fields: Callable[[Sequence[Case]], Mapping[str, Any]], rank: int = 0
) -> Iterator[list[Case]]:
    """Cases as `read_cases` reads them, recorded in a folder where one is named, under the fields of its manifest."""
    cases = read_cases(sources)
    if store is None:
        yield cases
        return
    with recorded(cases, store, fields(cases), rank) as kept:
        yield kept


@contextmanager
def recorded(cases: Sequence[Case], folder: Path, manifest: Mapping[str, Any], rank: int = 0) -> Iterator[list[Case]]:
    """The same cases, with every evaluation kept in a folder and none made twice.

    Parameters
    ----------
    manifest : mapping
        What the numbers depend on beside models, responses and masks; those of the models are added.

    Raises
    ------
    InputError
        As `SampleStore.open`: another manifest, a damaged file, a second writer.
    """
    models = {id(m): m for case in cases for m in (case.policy, case.reference)}
    policy, reference = cases[0].policy, cases[0].reference
    described = {"policy": _described(policy), "reference": _described(reference)}
    with SampleStore.open(folder, {**manifest, **described}, rank=rank) as store:
        if not (folder / PAIRS).exists():
            write_atomically(folder / PAIRS, "".join(_line(case) for case in cases))
        kept = {key: Recorded(model, store) for key, model in models.items()}
        yield [replace(c, policy=kept[id(c.policy)], reference=kept[id(c.reference)]) for c in cases]


@contextmanager
def replayed(folder: Path) -> Iterator[tuple[list[Case], dict[str, Any]]]:
    """The cases of a recorded run without its models, and its manifest; what was not recorded is an error when asked.

    Raises
    ------
    InputError
        If the folder holds no complete record.
    """
    with SampleStore.read(folder) as store:
        manifest = store.manifest
        if not (folder / PAIRS).is_file():
            raise InputError(f"{folder} has no {PAIRS}: give the folder of a recorded run")
        roles = [_Absent(store, manifest[role]) for role in ("policy", "reference")]
        vocabulary, mask_token_id, max_length = (int(manifest["policy"][name]) for name in DESCRIBED)
        pairs = read_pairs(folder / PAIRS, vocabulary=vocabulary, mask_token_id=mask_token_id, max_length=max_length)
        yield [Case(roles[0], roles[1], pair) for pair in pairs], manifest


class _Absent(Recorded):
    """A model that is known by its record alone."""

    def __init__(self, store: SampleStore, described: Mapping[str, Any]) -> None:
        super().__init__(None, store, str(described["fingerprint"]))
        for name in DESCRIBED:
            object.__setattr__(self, name, described[name])


def _described(model: Any) -> dict[str, Any]:
    return {"fingerprint": model.fingerprint, **{name: getattr(model, name) for name in DESCRIBED}}


def _line(case: Case) -> str:
    chosen, rejected = case.pair.chosen, case.pair.rejected
    row = {"id": case.pair.id, "prompt_ids": chosen.prompt, "chosen_ids": chosen.ids, "rejected_ids": rejected.ids}
    return json.dumps(row) + "\n"
