"""Runs of arms in a folder: continued when interrupted, read back when finished, never made twice."""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as serialize

from vrpo_theory.data import toy
from vrpo_theory.files import write_atomically
from vrpo_theory.generation import generate
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.randomness import content_key
from vrpo_theory.training.arms.arm import Arm, reference
from vrpo_theory.training.arms.objectives import BATCH_TOKENS, Sampled
from vrpo_theory.training.loop import train
from vrpo_theory.training.objective import ScoredPair
from vrpo_theory.training.toy import package

Questions = Sequence[toy.Question]
MOST_PROCESSES = 8


@dataclass(frozen=True)
class TrainedArm:
    """A finished run.

    Parameters
    ----------
    arm : Arm
    folder : path
    losses : list of float
        Of every step, before it, in nats.
    """

    arm: Arm
    folder: Path
    losses: list[float]

    def model(self, step: int) -> LLaDA:
        """The policy after so many steps, one of the arm's marks."""
        if step == 0:
            return copy.deepcopy(reference())
        return _with_weights(load_file(_weights(self.folder, step)))

    def right(
        self, questions: Questions, step: int, sampler: str = "low_confidence", room: int = 0
    ) -> NDArray[np.bool_]:
        """Which questions the policy answers right after so many steps; asked once, then remembered."""
        asked = content_key(*(q.prompt for q in questions)).hex()[:8]
        path = self.folder / f"right-{step}-{sampler}-{room}-{asked}-{_generating()}.json"
        if not path.exists():
            write_atomically(path, json.dumps(right(self.model(step), questions, sampler, room).tolist()))
        return np.array(json.loads(path.read_text()), bool)

    def scored(self, step: int) -> list[ScoredPair]:
        """The pairs of a step as training scored them, at a mark: on the same weights and masks, bit for bit."""
        objective = self.arm.objective()
        if not isinstance(objective, Sampled):
            raise ValueError(f"an arm of {self.arm.score} scores has no masks: take a sampled one")
        numbered = [(step, pair) for pair in objective.pairs(step)]
        return objective.objective.score(self.model(step), objective.reference, numbered)

    def best(self, validation: Questions) -> int:
        """The mark with most right answers to the validation prompts, the earliest of equals."""
        return max(self.arm.marks[1:], key=lambda step: (self.right(validation, step).sum(), -step))


def right(model: LLaDA, questions: Questions, sampler: str, room: int = 0) -> NDArray[np.bool_]:
    """Which questions a model answers right, on canvases of so many tokens more than the answer has."""
    canvases = [(q.prompt, len(q.answer) + room) for q in questions]
    answers = generate(model, canvases, sampler, batch_tokens=BATCH_TOKENS)
    return np.array([_said(answer.ids) == q.answer for q, answer in zip(questions, answers, strict=True)])


def _said(ids: tuple[int, ...]) -> tuple[int, ...]:
    """Up to the first EOS, itself included."""
    return ids[: ids.index(toy.EOS) + 1] if toy.EOS in ids else ids


def finished(arm: Arm, folder: Path) -> TrainedArm:
    """The run of an arm: read back, gone on with, or made."""
    place = folder / arm.key
    if not _losses(place).exists():
        _make(arm, place)
    return TrainedArm(arm, place, json.loads(_losses(place).read_text()))


def prepare(
    arms: Iterable[Arm], folder: Path, then: Callable[[TrainedArm], None], *, parallel: bool = True
) -> Iterator[None]:
    """Finish the runs of all arms, as many at a time as there are processors; yields once a run.

    Parameters
    ----------
    then : callable
        What else is to be done with each run, there and then; other processes must be able to import it.
    parallel : bool
        Whether other processes are worth starting.
    """
    jobs = list({arm.key: arm for arm in arms}.values())
    missing = sum(not _losses(folder / arm.key).exists() for arm in jobs)
    workers = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, missing) if parallel else 1
    work = partial(_finish, folder=folder, then=then)
    if workers < 2:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:  # leaving it, however, ends its processes
        yield from pool.imap_unordered(work, jobs)


def _finish(arm: Arm, folder: Path, then: Callable[[TrainedArm], None]) -> None:
    with _one_thread():
        then(finished(arm, folder))


@contextmanager
def _one_thread() -> Iterator[None]:
    """The same bits on every number of processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _make(arm: Arm, place: Path) -> None:
    policy, state = copy.deepcopy(reference()).requires_grad_(True), place / "state.safetensors"
    write_atomically(place / "arm.json", json.dumps(arm.document(), indent=1) + "\n")

    def keep(step: int) -> None:
        weights = {name: p.detach().contiguous() for name, p in policy.named_parameters()}
        write_atomically(_weights(place, step), serialize(weights))

    losses = train(
        policy, arm.objective(), arm.schedule, path=state, every=arm.every, origin=arm.key, label=place.name, kept=keep
    )
    write_atomically(_losses(place), json.dumps(losses))
    state.unlink()


@torch.no_grad()
def _with_weights(weights: dict[str, torch.Tensor]) -> LLaDA:
    model = copy.deepcopy(reference())
    for name, p in model.named_parameters():
        p.copy_(weights[name])
    return model


@cache
def _generating() -> str:
    """Hash of the code that writes answers."""
    root = package.PACKAGED.parents[1]
    files = sorted(path for name in ("generation", "samplers") for path in (root / name).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]


def _losses(place: Path) -> Path:
    return place / "losses.json"


def _weights(place: Path, step: int) -> Path:
    return place / f"weights-{step}.safetensors"
