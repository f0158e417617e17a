"""The grid of LLaDA's public likelihood code, as many trainers repeat it: equal steps from one shift, rounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Timesteps, equal_shares
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class LladaGrid(Design):
    """l_j = ((round(k + (j - 1) L/n) - 1) mod L) + 1 with one k uniform on 1..L, rounded half to even: one batch.

    Biased where n/gcd(L, n) is even, since rounding whole shifts half to even favours some counts
    (`vrpo_theory.statements.public_code`); `systematic` is the same grid without that.
    """

    name = "llada_grid"

    @property
    def unbiased(self) -> bool:
        """Not at every length and budget."""
        return False

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("LLaDA's grid"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        first = 1 + np.floor(uniforms.level(1) * length)
        return equal_shares(_grid(first, length, n_t)[0])

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        level = _grid(np.arange(1.0, length + 1), length, budget.n_t)
        return (Block(np.full(length, 1 / length), level, np.full(level.shape, 1 / budget.n_t)),)


def _grid(first: Array, length: int, n: int) -> Array:
    """Counts (K, n) from first ones (K,); multiplied before divided, so that halves are exact."""
    found: Array = (np.round(first[:, None] + np.arange(n) * length / n) - 1) % length + 1
    return found


DESIGNS.add(LladaGrid.name, LladaGrid)
