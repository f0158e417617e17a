"""Questions by address: number i of a stream depends on the seed, the split and i alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vrpo_theory.data.toy.tasks import TASKS, Ids, Task, prompt
from vrpo_theory.data.toy.vocabulary import EOS
from vrpo_theory.randomness import content_key
from vrpo_theory.types import PreferencePair, Response

SPLITS = ("train", "validation", "test")
LENGTHS = range(8, 13)
"""Response lengths, EOS included, that a stream draws from by default."""
ALL_LENGTHS = range(8, 17)
"""Response lengths that the language has."""


@dataclass(frozen=True)
class Question:
    """A prompt with its right answer and its mistake, equally long and EOS included, as ids."""

    task: str
    prompt: Ids
    answer: Ids
    mistake: Ids

    def pair(self, name: str = "") -> PreferencePair:
        """The answer is chosen, the mistake rejected."""
        return PreferencePair(Response(self.prompt, self.answer), Response(self.prompt, self.mistake), name)


def split_of(ids: Sequence[int]) -> str:
    """The split that a prompt belongs to, by a hash of its ids: a tenth is validation, a tenth test."""
    return {0: "validation", 1: "test"}.get(int.from_bytes(content_key(ids), "big") % 10, "train")


def read(ids: Sequence[int]) -> Question:
    """The question that a prompt asks.

    Raises
    ------
    ValueError
        If the ids are not a prompt of the language.
    """
    digits = [i for i in ids if 0 <= i < 10]
    for task in TASKS.values():
        for sign in task.signs:
            if tuple(ids) == prompt(sign, digits) and len(digits) in _sizes(task, ALL_LENGTHS):
                return _question(task, sign, digits)
    raise ValueError(f"{tuple(ids)} is not a prompt of the toy language: draw one with question()")


def verify(ids: Sequence[int], response: Sequence[int]) -> bool:
    """Whether a response, EOS included, is the right one to a prompt; ValueError if that is none."""
    return tuple(response) == read(ids).answer


def question(seed: int, split: str, index: int, *, task: str | None = None, length: int | None = None) -> Question:
    """Question number ``index`` of a stream, among those whose mistake is one.

    Parameters
    ----------
    split : {"train", "validation", "test"}
    task : str, optional
        Of this task only; default: every task as likely.
    length : int, optional
        With a response of this length only, from 8 to 16; default: 8 to 12, all that the task has as likely.

    Raises
    ------
    ValueError
        If there is no such split, task or length.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    choices = _choices(task, length)
    rng = np.random.default_rng((seed, SPLITS.index(split), index))
    while True:
        kind, sizes = choices[rng.integers(len(choices))]
        sign = kind.signs[rng.integers(len(kind.signs))]
        found = _question(kind, sign, rng.integers(10, size=sizes[rng.integers(len(sizes))]).tolist())
        if found.answer != found.mistake and split_of(found.prompt) == split:
            return found


def supervised(seed: int, split: str, rate: float, index: int) -> Response:
    """Response number ``index`` of a stream whose annotators make the mistake with probability ``rate``."""
    found = question(seed, split, index)
    errs = np.random.default_rng((seed, SPLITS.index(split), index, 1)).random() < rate
    return Response(found.prompt, found.mistake if errs else found.answer)


def pair(seed: int, split: str, index: int) -> PreferencePair:
    """Pair number ``index`` of a stream: the right answer against the mistake."""
    return question(seed, split, index).pair(f"toy-{split}-{index}")


def _question(task: Task, sign: int, digits: Sequence[int]) -> Question:
    answer, mistake = ((*respond(sign, digits), EOS) for respond in (task.answer, task.mistake))
    return Question(task.name, prompt(sign, digits), answer, mistake)


def _sizes(task: Task, lengths: Sequence[int]) -> list[int]:
    """How many digits a prompt may have for a response of one of these lengths."""
    return [size for length in lengths if (size := task.digits(length)) is not None]


def _choices(task: str | None, length: int | None) -> list[tuple[Task, list[int]]]:
    """Tasks and sizes that a question is drawn from; never empty."""
    if task is not None and task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if length is not None and length not in ALL_LENGTHS:
        raise ValueError(f"length must be from {ALL_LENGTHS[0]} to {ALL_LENGTHS[-1]}, got {length!r}")
    kinds = TASKS.values() if task is None else [TASKS[task]]
    found = [(kind, _sizes(kind, LENGTHS if length is None else [length])) for kind in kinds]
    if not any(sizes for _, sizes in found):
        raise ValueError(f"{task} has no response of {length} tokens: choose another length")
    return [(kind, sizes) for kind, sizes in found if sizes]
