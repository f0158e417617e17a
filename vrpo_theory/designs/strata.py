"""Equal strata: one count from each of n equal parts of 1..L."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Self

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Timesteps, equal_shares, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Strata(Design):
    """l_j = ceil(x_j), x_j uniform on ((j - 1) L/n, j L/n], independently: fractional bounds where n does not divide L.

    With independent masks and plain weights its variance never exceeds that of iid counts: stratification at equal
    shares removes the variance between strata (ours; proof: V of a mixture is the mean of its parts' variances plus
    the variance of their means).
    """

    name = "strata"

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry(everywhere=True, gradient=True),)

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        return (cls(),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        place = (np.arange(n_t) + uniforms.level(n_t)) * length / n_t
        return equal_shares(np.minimum(1 + np.floor(place), length))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        share, edges = 1 / budget.n_t, np.arange(budget.n_t + 1) * length / budget.n_t
        return tuple(single(*overlap(low, high, length), share) for low, high in itertools.pairwise(edges.tolist()))


def overlap(low: float, high: float, length: int) -> tuple[Array, Array]:
    """Probabilities and values of ceil(x), x uniform on (low, high] within (0, L]."""
    count = np.arange(1.0, length + 1)
    part = np.clip(np.minimum(count, high) - np.maximum(count - 1, low), 0, None)
    keep = part > 1e-12 * (high - low)  # an edge that should be whole may be a rounding off
    return part[keep] / part[keep].sum(), count[keep]


DESIGNS.add(Strata.name, Strata, aliases=("stratified",))
