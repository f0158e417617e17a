"""The training loop: AdamW on any objective, addressed by step, resumable to the bit.

An objective's gradient is a function of the weights and the step alone, so a run that is killed and resumed on the same
machine, with as many threads, ends in the same weights.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch.optim import AdamW
from tqdm import tqdm

from vrpo_theory.training import checkpoint
from vrpo_theory.types import Trainable


class Objective(Protocol):
    """What is minimised."""

    def backward(self, model: Trainable, step: int) -> float:
        """Put the gradient of the step's mean loss in ``.grad``, which is empty; return the loss, in nats."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How the weights move.

    Parameters
    ----------
    steps : int
    rate : float
        Highest learning rate: reached by a linear warm-up, left along a cosine that ends at zero.
    warmup : int
        Steps of the warm-up.
    decay : float
        AdamW's weight decay.
    betas : (float, float)
        AdamW's averaging constants.
    clip : float
        Longest gradient; a longer one is shortened to it.
    """

    steps: int
    rate: float
    warmup: int = 0
    decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        rising = (step + 1) / self.warmup if self.warmup else 1.0
        return self.rate * min(rising, (1 + math.cos(math.pi * step / self.steps)) / 2)


def train(
    model: Trainable,
    objective: Objective,
    schedule: Schedule,
    *,
    path: Path | None = None,
    every: int = 250,
    origin: str = "",
    label: str = "training",
    kept: Callable[[int], None] | None = None,
) -> list[float]:
    """Train a model in place; return the loss of every step, in nats.

    Parameters
    ----------
    model : Trainable
        Only parameters that require gradients are trained.
    path : path, optional
        Checkpoint file: where the run goes on if it exists; written every ``every`` steps and at the end.
    origin : str
        Names the data and the objective's options. A checkpoint of another origin, schedule or start is refused.
    label : str
        Of the progress bar, on standard error.
    kept : callable, optional
        Called with the number of steps taken, each time before the checkpoint is written.

    Raises
    ------
    FloatingPointError
        If a loss or gradient is not finite; names the step and the tensor. The weights are those before the step.
    InputError
        If the checkpoint is damaged or of another run.
    """
    names = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = AdamW(names.values(), lr=schedule.rate, betas=schedule.betas, weight_decay=schedule.decay)
    run = hashlib.sha256(f"{origin}\n{schedule}\n{model.fingerprint}".encode()).hexdigest()
    losses = checkpoint.restore(path, run, names, optimizer) if path is not None and path.exists() else []
    steps = range(len(losses), schedule.steps)
    for step in tqdm(steps, label, initial=len(losses), total=schedule.steps, file=sys.stderr, disable=None):
        losses.append(_step(model, objective, schedule, optimizer, names, step))
        if path is not None and ((step + 1) % every == 0 or step + 1 == schedule.steps):
            if kept is not None:
                kept(step + 1)
            checkpoint.save(path, run, names, optimizer, losses)
    return losses


def _step(
    model: Trainable,
    objective: Objective,
    schedule: Schedule,
    optimizer: AdamW,
    names: dict[str, torch.nn.Parameter],
    step: int,
) -> float:
    optimizer.zero_grad()
    try:
        loss = objective.backward(model, step)
        _require_finite(loss, names)
    except FloatingPointError as error:
        raise FloatingPointError(f"step {step}: {error}") from error
    torch.nn.utils.clip_grad_norm_(names.values(), schedule.clip)
    for group in optimizer.param_groups:
        group["lr"] = schedule.rate_at(step)
    optimizer.step()
    return loss


def _require_finite(loss: float, names: dict[str, torch.nn.Parameter]) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}: lower the learning rate or check the data")
    for name, p in names.items():
        if p.grad is not None and not p.grad.isfinite().all():
            raise FloatingPointError(f"the gradient of {name} is not finite: lower the learning rate or check the data")
