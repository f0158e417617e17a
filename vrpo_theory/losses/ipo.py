"""IPO (arXiv 2310.12036): the squared loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.losses.base import LOSSES, Loss

TARGET = 0.5


@dataclass(frozen=True)
class Ipo(Loss):
    """(s - 1/2)^2: beta^2 times (margin - 1/(2 beta))^2, IPO's Eq. 17 with its tau = beta, for rates like DPO's.

    A parabola, so that the bias of its estimate is V exactly, and the jackknife's is 0.
    """

    name, curvature = "ipo", 2.0

    def value(self, score: ArrayLike) -> NDArray[np.float64]:
        return (np.asarray(score, dtype=float) - TARGET) ** 2

    def slope(self, score: ArrayLike) -> NDArray[np.float64]:
        return 2 * (np.asarray(score, dtype=float) - TARGET)


LOSSES.add(Ipo.name, Ipo)
