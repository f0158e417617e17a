"""DPO (arXiv 2305.18290): the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.losses.base import LOSSES, Loss
from vrpo_theory.numerics import log_sigmoid, sigmoid


@dataclass(frozen=True)
class Dpo(Loss):
    """-log sigmoid(s), in nats: the paper's (2505.19223v2, Eq. 8)."""

    name, curvature = "dpo", 0.25

    def value(self, score: ArrayLike) -> NDArray[np.float64]:
        return -log_sigmoid(score)

    def slope(self, score: ArrayLike) -> NDArray[np.float64]:
        return -sigmoid(-np.asarray(score, dtype=float))


LOSSES.add(Dpo.name, Dpo)

DPO = Dpo()
