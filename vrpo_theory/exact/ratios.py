"""Exact mean and variance of importance ratios exp(B_policy - B_reference), from the enumerated masks.

Exponentials of sums of iid timesteps factor, so every moment is a product of values of one function,
phi(a) = E exp(a (x_1 - D)), with x_1 the term of one timestep and D = E x_1. Ratios here are relative to exp(D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.exact.laws import contrast_sums
from vrpo_theory.numerics import total
from vrpo_theory.statements import ratio
from vrpo_theory.types import Case, Side

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RatioMoments:
    """Of an estimate of exp(D), relative to it: ``bias`` is E r_hat/exp(D) - 1, ``variance`` is V r_hat/exp(2 D)."""

    bias: float
    variance: float


@dataclass(frozen=True, eq=False)
class LogRatio:
    """Law of one timestep's term x_1 of D_hat.

    Parameters
    ----------
    levels : per independent contrast, per count, (M,) float
        Values of one mask's term, centred so that their means over counts are 0.
    n_yt : int
        Masks per timestep, whose terms are averaged.
    """

    levels: Sequence[Sequence[Array]]
    n_yt: int = 1

    def phi(self, a: float) -> float:
        """E exp(a (x_1 - D)); infinite where it overflows."""
        with np.errstate(over="ignore"):
            return math.prod(
                float(np.mean([np.exp(a / self.n_yt * values).mean() ** self.n_yt for values in contrast]))
                for contrast in self.levels
            )

    @property
    def variance(self) -> float:
        """V x_1 in nats squared."""
        between = [np.mean([values.mean() ** 2 for values in contrast]) for contrast in self.levels]
        within = [np.mean([values.var() for values in contrast]) for contrast in self.levels]
        return total(between) + total(within) / self.n_yt


def log_ratio(tabulated: Case, side: Side, coupling: Coupling, n_yt: int = 1) -> LogRatio:
    """The log-ratio of one response of a tabulated case under iid counts."""
    contrasts = [c for c in coupling.contrasts if c.side == side]
    sign = 1.0 if side == "chosen" else -1.0
    levels = []
    for c in contrasts:
        own = Contrast(side, (sign * c.coefficients[0], sign * c.coefficients[1]))
        for sums in contrast_sums(tabulated, own):
            values = [(len(sums) - 1) / count * sums[count] for count in range(1, len(sums))]
            mean = total([v.mean() for v in values]) / len(values)
            levels.append([v - mean for v in values])
    return LogRatio(levels, n_yt)


def ratio_moments(x: LogRatio, n_t: float, estimator: str = "plug-in", *, offset: float = 0.0) -> RatioMoments:
    """Exact moments of an estimate of exp(D) from n_t iid timesteps.

    Parameters
    ----------
    n_t : int, or float for "poisson"
        Timesteps; their expected number for "poisson".
    estimator : {"plug-in", "jackknife", "poisson"}
    offset : float
        Of the Poisson estimator's centre from its best place, ``n_t`` below D, in nats.

    Raises
    ------
    ValueError
        For the jackknife of one timestep.
    """
    if estimator == "poisson":
        return _poisson(x, n_t, offset)
    n = int(n_t)
    return _jackknife(x, n) if estimator == "jackknife" else _plug_in(x, n)


def _plug_in(x: LogRatio, n: int) -> RatioMoments:
    mean = x.phi(1 / n) ** n
    return RatioMoments(mean - 1, x.phi(2 / n) ** n - mean**2)


def _jackknife(x: LogRatio, n: int) -> RatioMoments:
    """n exp(D_hat) - (n - 1) mean_i exp(D_hat without i); the moments of products follow by counting exponents."""
    if n < 2:
        raise ValueError(f"the jackknife leaves one timestep out, got n_t={n}; take n_t >= 2")
    full, left = x.phi(1 / n) ** n, x.phi(1 / (n - 1)) ** (n - 1)
    both = x.phi(1 / n) * x.phi(1 / n + 1 / (n - 1)) ** (n - 1)
    same, other = x.phi(2 / (n - 1)) ** (n - 1), x.phi(1 / (n - 1)) ** 2 * x.phi(2 / (n - 1)) ** (n - 2)
    mean = float(ratio.jackknife(full, left, n))
    square = n**2 * x.phi(2 / n) ** n - 2 * n * (n - 1) * both + (n - 1) ** 2 * (same + (n - 1) * other) / n
    return RatioMoments(mean - 1, square - mean**2)


def _poisson(x: LogRatio, rate: float, offset: float) -> RatioMoments:
    """K ~ Poisson(rate) terms centred at c = D - rate + offset (ours).

    The second moment is exp(2 rate + 2 c) E[(E(x_1 - c)^2/rate^2)^K], and E z^K = exp(rate (z - 1)); relative to
    exp(2 D) it is exp((V + offset^2)/rate).
    """
    return RatioMoments(0.0, float(ratio.poisson_relative_variance(x.variance + offset**2, rate)))
