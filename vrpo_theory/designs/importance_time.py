"""Importance sampling of t: finite variance for the time form, without a floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrpo_theory.designs.base import DESIGNS, Block, Design, Timesteps, single
from vrpo_theory.numerics import gauss_legendre
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget


@dataclass(frozen=True)
class ImportanceTime(Design):
    """t with density (2/pi) sqrt((1 - t)/t), its share (pi/2) sqrt(t/(1 - t))/n: finite variance, no floor (ours).

    The time form's E[ell^2 | t] grows like 1/t; here it is weighed by (pi/2) sqrt(t/(1 - t)), whose integral is finite.
    """

    name = "importance_time"
    form = "time"
    iid_timesteps = True

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        from scipy.special import betaincinv

        # The density is Beta(1/2, 3/2). A uniform of 0 would give t = 0, which no mask can be weighed at.
        t = betaincinv(0.5, 1.5, np.maximum(uniforms.level(n_t), np.finfo(float).tiny))
        return Timesteps(t, np.pi / 2 * np.sqrt(t / (1 - t)) / n_t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """With t = sin^2 x the law of x has density (4/pi) cos^2 x, and every moment is a smooth function of x."""
        weight, x = gauss_legendre(0.0, np.pi / 2, 2 * length + 32)
        prob = 2 * weight * np.cos(x) ** 2
        return (single(prob / prob.sum(), np.sin(x) ** 2, np.pi / 2 * np.tan(x) / budget.n_t),) * budget.n_t


DESIGNS.add(ImportanceTime.name, ImportanceTime)
