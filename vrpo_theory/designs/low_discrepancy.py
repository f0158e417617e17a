"""Low-discrepancy timesteps: equally spaced t with one shared shift (MDLM, arXiv 2406.07524)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs._quadrature import floored
from vrpo_theory.designs.base import DESIGNS, Block, Entry, Timesteps, equal_shares
from vrpo_theory.designs.iid import IidTime
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class LowDiscrepancy(IidTime):
    """t_j = eps + (1 - eps)(j - 1 + u)/n with one u for all j; MDLM calls it antithetic.

    Every t is uniform on [eps, 1] as in `IidTime`, whose parameter and bias it has; but no two are independent.
    """

    name = "low_discrepancy"
    iid_timesteps = False

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (cls(1e-3).entry("low discrepancy"),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        shift = 1 - float(uniforms.level(1)[0])
        return equal_shares(self.eps + (1 - self.eps) * (np.arange(n_t) + shift) / n_t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """One block, by quadrature over the first timestep; ValueError at eps = 0, where the variance is infinite."""
        step = (1 - self.eps) / budget.n_t
        prob, first = floored(self.name, self.eps, length, self.eps + step)
        level = first[:, None] + step * np.arange(budget.n_t)
        return (Block(prob, level, np.full(level.shape, 1 / budget.n_t)),)


DESIGNS.add(LowDiscrepancy.name, LowDiscrepancy, aliases=("mdlm",))
