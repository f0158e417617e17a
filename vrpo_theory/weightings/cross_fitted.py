"""Cross-fitted control variate: each mask corrected by what the other masks say of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Masks
from vrpo_theory.weightings.base import WEIGHTINGS, JoinedEntry, Weighting
from vrpo_theory.weightings.plain import PLAIN


@dataclass(frozen=True)
class CrossFitted(Weighting):
    """Term k minus its share of sum_i c_i over its own tokens, plus the same over all tokens (ours).

    c_i, for mask k, is the shrunken mean of token i's log-probability in the OTHER masks: their sum over (number +
    shrinkage). Given those, S_k is a uniform subset, so (L/l_k) sum_{i in S_k} c_i has the mean sum_i c_i, and the
    estimate keeps plain weighting's mean. As the shrinkage is fixed, the estimate is linear in the log-probabilities:
    these are its weights, known before any forward pass.

    Parameters
    ----------
    shrinkage : float
        Positive: with how many terms of value 0 a token's mean is diluted.
    """

    shrinkage: float = 1.0

    name = "cross_fitted"
    keeps_row_sums = False
    needs_independent_masks = True

    def __post_init__(self) -> None:
        if not 0 < self.shrinkage < np.inf:
            raise ValueError(f"{self.name}: shrinkage must be positive and finite, got {self.shrinkage!r}")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        return cls(), cls(0.3)

    @classmethod
    def entries(cls) -> tuple[JoinedEntry, ...]:
        return (
            JoinedEntry("cross-fitted", cls(), "strata"),
            JoinedEntry("cross-fitted", cls(), "power_strata", everywhere=True, gradient=True),
        )

    def weights(self, masks: Masks) -> NDArray[np.float64]:
        length = masks.mask.shape[1]
        member = masks.mask.astype(float)
        scale = PLAIN.per_mask(masks)
        others = member.sum(0) - member
        # Mask j adds correction[j, i] / (others + shrinkage) to the weight of token i in every other mask.
        correction = (scale * member.sum(1) / length)[:, None] - scale[:, None] * member
        diluted = correction / (others + self.shrinkage)
        found: NDArray[np.float64] = member * (scale[:, None] + diluted.sum(0) - diluted)
        return found


WEIGHTINGS.add(CrossFitted.name, CrossFitted)
