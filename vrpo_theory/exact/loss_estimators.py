"""Exact bias and variance of estimators of the DPO loss that leave timesteps out.

Sums of iid timesteps live on one lattice: with s the mean of n of them, the mean of the n - 1 others is n/(n - 1) times
what they add to s. Products of two estimates share all timesteps but one or two, which are integrated out first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.exact._lattice import STEP, Lattice
from vrpo_theory.exact.cases import true_margin
from vrpo_theory.functionals import ESTIMATORS
from vrpo_theory.losses import Loss
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LossEstimatorMoments:
    """Of an estimate of the loss, in nats: ``bias`` is its mean minus the loss of the true score; ``variance``."""

    bias: float
    variance: float


def loss_estimator(
    tabulated: Case, scheme: Scheme, beta: float, estimator: str = "plug-in", loss: Loss = DPO
) -> LossEstimatorMoments:
    """Moments under iid counts and plain weights; blocks are timesteps, as in `vrpo_theory.functionals.value`.

    Parameters
    ----------
    estimator : {"plug-in", "jackknife", "leave-one-out"}

    Raises
    ------
    ValueError
        For an estimator that leaves a timestep out of n_t = 1, or as `vrpo_theory.exact.loss_gradient_moments`.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; choose from: {', '.join(ESTIMATORS)}")
    n = scheme.vrpo_budget.n_t
    if n < 2 and estimator != "plug-in":
        raise ValueError(f"{estimator} leaves a timestep out, got n_t={n}; take n_t >= 2")
    sums = _Sums(Lattice(tabulated, scheme, beta), loss)
    truth = float(loss.value(beta * true_margin(tabulated)))
    mean, square = _moments(sums, n, estimator)
    return LossEstimatorMoments(mean - truth, square - mean**2)


def _moments(sums: _Sums, n: int, estimator: str) -> tuple[float, float]:
    """Mean and mean square."""
    full = sums.loss(0)
    if estimator == "plug-in":
        return sums.mean(0, full), sums.mean(0, full**2)
    left = sums.loss(1)
    same, other = sums.mean(1, left**2), sums.mean(2, sums.over_one(left) ** 2)
    mean, square = sums.mean(1, left), (same + (n - 1) * other) / n
    if estimator == "leave-one-out":
        return mean, square
    both = sums.mean(1, left * sums.over_one(full))
    jackknife = n * sums.mean(0, full) - (n - 1) * mean
    return jackknife, n**2 * sums.mean(0, full**2) - 2 * n * (n - 1) * both + (n - 1) ** 2 * square


class _Sums:
    """Sums of all timesteps but ``out`` of them, on the lattice of the score."""

    def __init__(self, lattice: Lattice, loss: Loss) -> None:
        self.lattice, self._loss = lattice, loss
        self.contrasts = range(len(lattice.atoms))

    def loss(self, out: int) -> Array:
        """Loss of the mean of the timesteps left, at every lattice point, (N,)."""
        lattice, n = self.lattice, self.lattice.budget.n_t
        low = (n - out) * lattice.budget.n_yt * sum(a.low for a in lattice.atoms)
        return self._loss.value((low + STEP * np.arange(lattice.points)) * n / (n - out))

    def mean(self, out: int, values: Array) -> float:
        """E of a function of the sum, given at the lattice points."""
        law = np.fft.irfft(self.lattice.rest(*list(self.contrasts) * out), self.lattice.points)
        return float(law @ values)

    def over_one(self, values: Array) -> Array:
        """E over one more timestep, as a function of the sum without it."""
        return self.lattice.mean(values, np.prod(self.lattice.timestep, axis=0))
