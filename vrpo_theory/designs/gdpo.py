"""Semi-deterministic Monte Carlo of GDPO (arXiv 2510.08554): quadrature over t, random masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Block, Design, Entry, Timesteps, single
from vrpo_theory.numerics import gauss_legendre
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class Gdpo(Design):
    """Gauss-Legendre nodes of t in [0, 1] with their weights.

    Given t the mean is a polynomial of degree at most L - 1, which n nodes integrate exactly if L <= 2n; beyond, the
    estimate is biased (ours). `gdpo_floor` is what public code of this name does.
    """

    name = "gdpo"
    form = "time"

    @property
    def unbiased(self) -> bool:
        """Only for responses of at most 2 n_t tokens."""
        return False

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("GDPO"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        weight, t = gauss_legendre(0.0, 1.0, n_t)
        return Timesteps(t, weight)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        nodes = zip(*gauss_legendre(0.0, 1.0, budget.n_t), strict=True)
        return tuple(single(np.ones(1), np.array([t]), float(weight)) for weight, t in nodes)


DESIGNS.add(Gdpo.name, Gdpo)
