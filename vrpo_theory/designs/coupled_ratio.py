"""Coupled sampling as DiffuCoder's code weighs it: by 1, 1/r and 1/(1 - r) (github.com/apple/ml-diffucoder)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs._quadrature import log_uniform
from vrpo_theory.designs.base import DESIGNS, Block, Entry, Timesteps, single
from vrpo_theory.designs.coupled import Coupled
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget

LOW, HIGH = 0.2, 0.8


@dataclass(frozen=True)
class CoupledRatio(Coupled):
    """The full mask, and pairs of masks: each token with probability r, r uniform on [0.2, 0.8], and the complement.

    The code averages two things: the full mask's terms, and the sum of the pair's, weighed by 1/r and 1/(1 - r). The
    pair's two parts each have the mean of one estimate, so for independent tokens the average is 1.5 times the ELBO;
    for others the range of r biases it too. `coupled` is the paper's form, which weighs by 1.
    """

    name = "coupled_ratio"
    form = "time"

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls().entry("coupled, 1/r"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        level = LOW + (HIGH - LOW) * uniforms.level(n_t)
        level[0] = 1.0
        level[2::2] = 1 - level[1::2]
        return Timesteps(level, np.append(_full(n_t), np.full(n_t - 1, 1 / max(n_t - 1, 1))))

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """The pairs' ratio by quadrature."""
        self.admit(budget)
        n = budget.n_t
        prob, ratio = log_uniform(LOW, HIGH, length)
        level = np.stack([ratio, 1 - ratio], 1)
        pair = Block(prob, level, np.full(level.shape, 1 / max(n - 1, 1)))
        return (single(np.ones(1), np.ones(1), _full(n)), *[pair] * (n // 2))


def _full(n_t: int) -> float:
    """Share of the full mask: half, or all of it where it stands alone."""
    return 0.5 if n_t > 1 else 1.0


DESIGNS.add(CoupledRatio.name, CoupledRatio)
