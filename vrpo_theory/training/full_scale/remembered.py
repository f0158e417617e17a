"""A reference that is evaluated first and then leaves memory: its log-probabilities, kept at the masks' addresses."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from vrpo_theory import elbo
from vrpo_theory.randomness import HELD_OUT
from vrpo_theory.store import Recorded, SampleStore
from vrpo_theory.training.full_scale.trainer import TrainingTask
from vrpo_theory.training.objective import Numbered, PairObjective
from vrpo_theory.types import Case, Model, Predictor, Request, block_length

TOGETHER = 64
"""Pairs whose masks are put into batches together."""


@dataclass(frozen=True, eq=False)
class Remembered(Recorded):
    """A reference known by its record alone; other masks than those evaluated are an error, never another number."""

    block_length: int | None = None


@contextmanager
def remembered(
    task: TrainingTask, folder: Path, manifest: Mapping[str, Any], numbers: Sequence[int]
) -> Iterator[TrainingTask]:
    """The task without its reference's weights.

    Parameters
    ----------
    folder : path
        Keeps the evaluations; an interrupted run goes on with it. Of this process alone.
    manifest : mapping
        What the evaluations depend on beside model, response and mask.
    numbers : sequence of int
        Of the pairs that this process trains on.
    """
    reference, objective = cast(Model, task.reference), task.objective
    with SampleStore.open(folder, manifest) as store:
        recorded, pairs = Recorded(reference, store), [task.stream[number] for number in numbers]
        pairs += [(HELD_OUT, pair) for pair in task.held_out]
        starts = range(0, len(pairs), TOGETHER)
        for start in tqdm(starts, "reference", file=sys.stderr, disable=None):
            requests = _requests(objective, task.policy, reference, pairs[start : start + TOGETHER])
            elbo.terms(requests, recorded, batch_tokens=objective.batch_tokens)
        known = Remembered(None, store, reference.fingerprint, block_length(reference))
        task = replace(task, reference=known)
        del reference, recorded
        yield task


def _requests(
    objective: PairObjective, policy: Predictor, reference: Predictor, batch: Sequence[Numbered]
) -> list[Request]:
    """What training will ask of the reference."""
    draws = [
        draw
        for number, pair in batch
        for draw in objective.scheme.draws(Case(policy, reference, pair), seed=objective.seed, repeat=number)
    ]
    return [(draw.response, draw.masks.mask) for draw in draws if draw.contrast.coefficient("reference")]
