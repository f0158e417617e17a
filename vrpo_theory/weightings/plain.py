"""Plain weighting: the mask's share times 1/t or L/l. The only home of these factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.types import Form
from vrpo_theory.weightings.base import WEIGHTINGS, Separable


@dataclass(frozen=True)
class Plain(Separable):
    """Every token of a mask weighs the same: the paper's estimator (2505.19223v2, Eq. 13 and 15)."""

    name = "plain"

    def scale(self, form: Form, level: ArrayLike, length: int) -> NDArray[np.float64]:
        value = np.asarray(level, dtype=float)
        # A count of 0 has no tokens to weigh.
        found: NDArray[np.float64] = np.divide(
            1.0 if form == "time" else length, value, out=np.zeros_like(value), where=value > 0
        )
        return found


WEIGHTINGS.add(Plain.name, Plain)

PLAIN = Plain()
