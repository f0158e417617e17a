"""Deterministic quadrature: fixed levels, only the masks are random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Timesteps, equal_shares, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Midpoints(Design):
    """l_j = ceil((j - 1/2) L/n): the middle of each equal stratum, without a draw.

    No variance between levels, but biased unless n is a multiple of L: the mean over l is not the mean over the middles
    (`vrpo_theory.exact.margin_mean` has the bias).
    """

    name = "midpoints"

    @property
    def unbiased(self) -> bool:
        """Only where every count is a middle."""
        return False

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return equal_shares(_middles(length, n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        return tuple(single(np.ones(1), np.array([count]), 1 / budget.n_t) for count in _middles(length, budget.n_t))


def _middles(length: int, n: int) -> Array:
    return np.ceil((np.arange(n) + 0.5) * length / n)


DESIGNS.add(Midpoints.name, Midpoints, aliases=("deterministic",))
