"""Exact law of the score estimate for iid timesteps, hence the exact bias and variance of the loss (layer 3).

The score is a sum of independent contrasts, each a sum over iid timesteps, each a mixture over levels of sums of n_yt
iid masks. Few enough atoms are convolved as they are; otherwise on a lattice by FFT, where every atom is split between
its two neighbours so that its mean stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.numerics import log_sigmoid, total
from vrpo_theory.types import ROLES, Budget, Case

Array = NDArray[np.float64]

ATOMS = 2**17
"""Most atoms that are listed one by one."""
POINTS = 2**15
"""Points of the lattice."""


@dataclass(frozen=True, eq=False)
class ScoreLaw:
    """Law of s_hat.

    Parameters
    ----------
    prob, value : (Q,) float
    jitter : float
        Variance that splitting atoms has added at most; 0 if the law is exact. Given the true score estimate the added
        noise has mean 0, so an expectation of g moves by at most max|g''| jitter / 2, and one of a 1-Lipschitz function
        by at most sqrt(jitter).
    """

    prob: Array
    value: Array
    jitter: float

    @property
    def mean(self) -> float:
        """E s_hat."""
        return total(self.prob * self.value)

    @property
    def variance(self) -> float:
        """V s_hat, too large by at most ``jitter``."""
        return total(self.prob * (self.value - self.mean) ** 2)


@dataclass(frozen=True)
class LossMoments:
    """What the noise of the score does to the DPO loss, in nats.

    Parameters
    ----------
    bias : float
        E loss_hat - loss, of error at most ``error``.
    mean_absolute_error : float
        E|loss_hat - loss|, which the paper calls the bias; of error at most sqrt(8 error).
    variance : float
        V loss_hat.
    error : float
        Bound on what the lattice moved the bias: max f'' = 1/4, so jitter / 8.
    """

    bias: float
    mean_absolute_error: float
    variance: float
    error: float


def loss_moments(law: ScoreLaw, score: float) -> LossMoments:
    """Moments of -log sigmoid(s_hat) about the loss of the true score."""
    gain = log_sigmoid(score) - log_sigmoid(law.value)
    bias = total(law.prob * gain)
    variance = total(law.prob * (gain - bias) ** 2)
    return LossMoments(bias, total(law.prob * np.abs(gain)), variance, law.jitter / 8)


def score_law(tabulated: Case, budget: Budget, coupling: Coupling, beta: float) -> ScoreLaw:
    """Law of s_hat under iid counts and plain weights (VRPO's estimator), any sharing of masks.

    Parameters
    ----------
    tabulated : Case
        From `vrpo_theory.exact.tabulate`.

    Notes
    -----
    Source: ours. Each of the n masks of a contrast adds beta (L/l) S / n, with l uniform on 1..L, S uniform over masks
    of l tokens.
    """
    levels = [_levels(tabulated, contrast, beta / budget.n) for contrast in coupling.contrasts]
    if _atom_count(levels, budget) <= ATOMS:
        return _listed(levels, budget)
    return _on_lattice(levels, budget)


def _levels(tabulated: Case, contrast: Contrast, factor: float) -> list[Array]:
    """Per level l = 1..L, what one mask adds to the score, for every mask of l tokens."""
    response = tabulated.pair.side(contrast.side)
    tables = [(contrast.coefficient(role), tabulated.model(role)[response]) for role in ROLES]
    sums = sum(c * table.sums for c, table in tables)
    counts, length = tables[0][1].counts, response.length
    return [factor * length / count * sums[counts == count] for count in range(1, length + 1)]


def _atom_count(levels: Sequence[Sequence[Array]], budget: Budget) -> float:
    return math.prod(float(sum(len(x) ** budget.n_yt for x in contrast)) ** budget.n_t for contrast in levels)


def _listed(levels: Sequence[Sequence[Array]], budget: Budget) -> ScoreLaw:
    prob, value = np.ones(1), np.zeros(1)
    for contrast in levels:
        step = _timestep(contrast, budget.n_yt)
        for _ in range(budget.n_t):
            prob, value = np.outer(prob, step[0]).ravel(), np.add.outer(value, step[1]).ravel()
    return ScoreLaw(prob, value, 0.0)


def _timestep(contrast: Sequence[Array], n_yt: int) -> tuple[Array, Array]:
    """Atoms of one timestep: the mixture over levels of n_yt-fold sums."""
    sums = []
    for values in contrast:
        reached = np.zeros(1)
        for _ in range(n_yt):
            reached = np.add.outer(reached, values).ravel()
        sums.append(reached)
    prob = [np.full(len(x), 1 / (len(x) * len(contrast))) for x in sums]
    return np.concatenate(prob), np.concatenate(sums)


def _on_lattice(levels: Sequence[Sequence[Array]], budget: Budget) -> ScoreLaw:
    lows = [float(min(x.min() for x in contrast)) for contrast in levels]
    width = budget.n * sum(float(max(x.max() for x in c)) - low for c, low in zip(levels, lows, strict=True))
    # Splitting reaches one point further per mask than the atoms do.
    step = width / (POINTS - 1 - budget.n * len(levels)) if width else 1.0
    transform = np.ones(POINTS // 2 + 1, complex)
    for contrast, low in zip(levels, lows, strict=True):
        per_level = [np.fft.rfft(_split(values - low, step)) ** budget.n_yt for values in contrast]
        transform *= np.mean(per_level, axis=0) ** budget.n_t
    prob: Array = np.maximum(np.fft.irfft(transform, POINTS), 0.0)
    value: Array = np.asarray(budget.n * sum(lows) + step * np.arange(POINTS), dtype=float)
    prob /= total(prob)
    return ScoreLaw(prob, value, budget.n * len(levels) * step**2 / 4)


def _split(values: Array, step: float) -> Array:
    """Uniform law on ``values``, moved to a lattice of ``step`` from 0: neighbours share each atom, its mean kept."""
    place = values / step
    below = np.floor(place).astype(int)
    above = place - below
    mass = np.bincount(below, 1 - above, POINTS) + np.bincount(below + 1, above, POINTS)
    return mass / len(values)
