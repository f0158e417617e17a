"""A masked predictor with an answer whose exact values are known, and the ids that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.auditing.predictor import EOS, WORDS, TracedPredictor
from vrpo_theory.exact import MaskTable
from vrpo_theory.numerics import total

Array = NDArray[np.float64]

PROMPT = (3, 0, 2)
PEAK = 0.3
"""The most that a masked token costs, in nats."""
DAMAGE = 0.2
"""What every token costs more where the context is damaged, in nats."""


@dataclass(frozen=True, eq=False)
class Toy(ABC):
    """A predictor, what it was asked for, and the exact answers.

    Parameters
    ----------
    name : str
    predictor : TracedPredictor
    prompt, answer : tuple of int
    """

    name: str
    predictor: TracedPredictor
    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    @property
    def length(self) -> int:
        """L."""
        return len(self.answer)

    @abstractmethod
    def mean_sums(self, scored: str) -> Array:
        """Mean sum over uniform masks of l tokens, l = 0..L, (L + 1,), in nats; NaN where the toy cannot tell.

        Parameters
        ----------
        scored : str
            What is summed: "masked", the right tokens; "visible" or "prompt", those too; "without the last" token;
            "bfloat16" log-probabilities; "last visible", over masks that spare the last token.
        """

    @property
    def table(self) -> MaskTable | None:
        """Token terms at masked tokens under every mask, where the toy has one."""
        return None

    @cached_property
    def elbo(self) -> float:
        """B(y) in nats, over all masks."""
        return total(self.mean_sums("masked")[1:] / np.arange(1, self.length + 1))

    @property
    @abstractmethod
    def reach(self) -> float:
        """R: the plain count form with any number of masks lies in [-R, 0]."""

    @property
    def variance(self) -> float | None:
        """Variance of VRPO's estimate at n = 1 (iid counts, plain weights), V/n at n; None where it is not known."""
        return None


def answer_of(length: int) -> tuple[int, ...]:
    """The answer of each toy: words, and the end of sequence."""
    return (*(2 * i % WORDS for i in range(length - 1)), EOS)
