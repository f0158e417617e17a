"""GDPO's nodes with floor(t L) masked tokens, as NeMo-RL's code of that name has them: biased at every length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Timesteps, single
from vrpo_theory.numerics import gauss_legendre
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class GdpoFloor(Design):
    """Gauss-Legendre nodes t_j of [0, 1]; floor(t_j L) tokens are masked, and their sum is weighed by 1/t_j.

    `gdpo` masks each token with probability t_j, as the paper has it. Here fewer tokens are masked than the weight
    says, and none below t = 1/L, so the share 1 - floor(t_j L)/(t_j L) of independent tokens' terms is lost at node j.
    Terms are negative, so the estimate is too high.
    """

    name = "gdpo_floor"

    @property
    def unbiased(self) -> bool:
        """Never."""
        return False

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("GDPO, floor(tL)"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        return Timesteps(*_nodes(length, n_t))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        nodes = zip(*_nodes(length, budget.n_t), strict=True)
        return tuple(single(np.ones(1), np.array([count]), float(share)) for count, share in nodes)


def _nodes(length: int, n: int) -> tuple[Array, Array]:
    """Counts, and shares that make plain weighting's L/l of them the code's weight over t."""
    weight, t = gauss_legendre(0.0, 1.0, n)
    count = np.floor(t * length)
    return count, weight * count / (t * length)


DESIGNS.add(GdpoFloor.name, GdpoFloor)
