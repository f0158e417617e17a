"""Several processes under ``accelerate launch``: each takes its share of the pairs, and the results meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

from vrpo_theory.errors import InputError
from vrpo_theory.reproduce._ablation.study import Configuration, Measured
from vrpo_theory.types import Case


def rank() -> int:
    """This process's place; 0 alone."""
    return int(os.environ.get("RANK", "0"))


def ranks() -> int:
    """How many processes work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_device(device: str) -> str:
    """The device of this process: its own GPU where there are several processes."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" and ranks() > 1 else device


def gathered(compute: Callable[[Sequence[Case]], list[Measured]], cases: Sequence[Case]) -> list[Measured]:
    """``compute`` of all cases, each process on its share; what each pair gives does not depend on who computes it.

    Raises
    ------
    InputError
        If there are more processes than pairs.
    """
    if ranks() == 1:
        return compute(cases)
    if len(cases) < ranks():
        raise InputError(f"{ranks()} processes for {len(cases)} pairs: launch fewer")
    import torch
    from accelerate import PartialState
    from accelerate.utils import gather_object

    PartialState(cpu=not torch.cuda.is_available())  # starts the process group
    found = gather_object([compute(cases[rank() :: ranks()])])
    if len(found) != ranks():
        raise RuntimeError(f"{len(found)} of {ranks()} processes answered: start them with accelerate launch")
    return [_merged(parts) for parts in zip(*found, strict=True)]


def _merged(parts: Sequence[Measured]) -> Measured:
    """One row of all processes, pairs in their own order."""
    return replace(
        parts[0],
        values=_interleaved([p.values for p in parts]),
        predicted=_interleaved([p.predicted for p in parts]),
        error=max(p.error for p in parts),
    )


def _interleaved(parts: Sequence[Mapping[Configuration, Sequence[Any]]]) -> dict[Configuration, list[Any]]:
    absent = object()
    return {
        c: [x for x in chain(*zip_longest(*(p[c] for p in parts), fillvalue=absent)) if x is not absent]
        for c in parts[0]
    }
