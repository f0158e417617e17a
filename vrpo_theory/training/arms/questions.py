"""What arms are trained on and asked: pairs and prompts of one length, the same for all of them."""

from __future__ import annotations

from functools import cache

from vrpo_theory.data import toy
from vrpo_theory.types import PreferencePair

LENGTH = 8
"""Tokens of a response: 255 masks, so that every mask can be trained on and exact variances are cheap."""
FIRST_SEED = 1000
"""Data seeds count from here: seed 0 made the start's supervised data, seed 1 the packaged policy's pairs."""


def pair(seed: int, number: int) -> PreferencePair:
    """Pair number ``number`` of a data seed, of the training split."""
    return toy.question(FIRST_SEED + seed, "train", number, length=LENGTH).pair(f"toy-{seed}-{number}")


@cache
def exam(split: str, number: int) -> tuple[toy.Question, ...]:
    """``number`` prompts of every task: of validation, which choose the stopping step, or of the test."""
    return tuple(toy.question(0, split, i, task=task, length=LENGTH) for task in toy.TASKS for i in range(number))
