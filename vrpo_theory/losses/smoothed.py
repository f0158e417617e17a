"""Label-smoothed DPO, for labels that are sometimes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.losses.base import LOSSES, Loss
from vrpo_theory.losses.dpo import DPO


@dataclass(frozen=True)
class Smoothed(Loss):
    """(1 - flip) f(s) + flip f(-s), f DPO's: conservative DPO, which stops at the score log((1 - flip)/flip).

    Parameters
    ----------
    flip : float
        Share of labels taken to be the wrong way round, from 0 to below 1/2.
    """

    name, curvature = "smoothed", DPO.curvature
    flip: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.flip < 0.5:
            raise ValueError(f"flip must be at least 0 and below 0.5, got {self.flip!r}")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return (cls(), cls(0.0), cls(0.4))

    @property
    def shares(self) -> tuple[float, float]:
        """Weights of the loss as labelled, and of the loss with the label flipped."""
        return 1 - self.flip, self.flip

    def value(self, score: ArrayLike) -> NDArray[np.float64]:
        kept, flipped = self.shares
        return kept * DPO.value(score) + flipped * DPO.value(-np.asarray(score, dtype=float))

    def slope(self, score: ArrayLike) -> NDArray[np.float64]:
        kept, flipped = self.shares
        return kept * DPO.slope(score) - flipped * DPO.slope(-np.asarray(score, dtype=float))


LOSSES.add(Smoothed.name, Smoothed)
