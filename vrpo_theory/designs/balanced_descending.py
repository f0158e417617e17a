"""Descending balanced masks: those of most tokens choose first, those of few fill what is covered least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.balanced import Balanced
from vrpo_theory.designs.base import DESIGNS, Array


@dataclass(frozen=True)
class BalancedDescending(Balanced):
    """Counts of another design; each mask, in descending l, takes the tokens that earlier ones covered least (ours).

    The tokens that large masks leave out are what small masks take, and small masks carry most of the variance on long
    responses; ascending masks gain more where n masks cover every token many times (`balanced_by_length`).

    Unbiased, as every balanced design: the rule names tokens through their coverage alone and breaks ties by uniforms
    that are exchangeable over positions. So permuting the uniforms permutes all masks alike, their joint law is
    unchanged by permuting positions, and given its size a mask is a uniform subset. Under plain weights each term then
    has the mean it has under iid counts; under two-way and context weights their own proofs ask for no more.
    """

    name = "balanced_descending"

    def order(self, level: Array, length: int) -> NDArray[np.int64]:
        """From most to fewest tokens; masks of equal size in their order."""
        return np.argsort(-level, kind="stable")


DESIGNS.add(BalancedDescending.name, BalancedDescending)
