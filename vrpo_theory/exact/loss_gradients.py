"""Exact moments of the plug-in gradient of the DPO loss.

As in `vrpo_theory.exact.gradients` vectors are coefficients over masks: w_m are those of the gradient of the true
score, pi_m the masks' probabilities under the count form, q(s) = sigmoid(-s) the slope of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.exact._lattice import Lattice, interpolate
from vrpo_theory.exact.cases import true_margin
from vrpo_theory.exact.gradients import score_gradient
from vrpo_theory.exact.grams import GradientGram
from vrpo_theory.numerics import sigmoid
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Case

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LossGradientMoments:
    """An estimate Z of the gradient of the DPO loss.

    Parameters
    ----------
    mean_norm : float
        ||E Z||.
    bias_norm : float
        ||E Z - grad loss||, the loss being that of the true score.
    variance : float
        Trace of the covariance of Z.
    """

    mean_norm: float
    bias_norm: float
    variance: float


def loss_gradient_moments(tabulated: Case, gram: GradientGram, scheme: Scheme, beta: float) -> LossGradientMoments:
    """Moments of the plug-in gradient Z = -q(s_hat) grad s_hat, q(s) = sigmoid(-s): iid counts, plain weights.

    Parameters
    ----------
    tabulated : Case
        From `vrpo_theory.exact.tabulate`: gives the law of the score.
    gram : GradientGram
        Of the same pair and policy.
    scheme : Scheme
        Of iid counts and plain weights; timesteps of the two responses not shared.

    Raises
    ------
    ValueError
        If the Gram matrix is of another pair, or the scheme is another one.

    Notes
    -----
    Source: ours. grad s_hat is a sum over the drawn masks of both responses, n each. So E Z is a sum over masks of
    w_m grad S_m times -E[q(s_hat) | m is drawn], and E||Z||^2 one over pairs of drawn masks of
    w_j w_k <grad S_j, grad S_k> times h(x_j + x_k), h(y) = E q(y + R)^2, where x is a mask's addend of the score and R
    the rest of the score, independent of the two given what ties masks together, which is the level of a timestep:

    - one mask, twice: (1/n) sum of w_m^2 / pi_m;
    - two masks of a timestep, both of level l: (n_yt - 1)/n times L;
    - two timesteps of a response: (n_t - 1)/n_t;
    - two responses, or two blocks of one: 2 a pair.

    Every h is a correlation on a lattice, read by cubic interpolation: an error of 1.6e-12 a drawn mask (`_lattice`).
    """
    check(tabulated, gram)
    lattice = Lattice(tabulated, scheme, beta)
    slope, weight = sigmoid(-lattice.score), score_gradient(gram, beta)
    mean = -weight * _given_mask(lattice, gram, slope)
    true = -float(sigmoid(-beta * true_margin(tabulated))) * weight
    once = weight**2 / gram.prob * np.diag(gram.gram) * _given_mask(lattice, gram, slope**2)
    second = once.sum() / lattice.budget.n + _over_pairs(lattice, gram, slope**2, weight)
    return summary(gram, mean, true, float(second))


def check(tabulated: Case, gram: GradientGram) -> None:
    """ValueError if the two are of different pairs."""
    if any(tabulated.pair.side(side).key != gram.pair.side(side).key for side in SIDES):
        raise ValueError(f"tables are of pair {tabulated.pair.id!r}, the Gram matrix of {gram.pair.id!r}: use one pair")


def summary(gram: GradientGram, mean: Array, true: Array, second: float) -> LossGradientMoments:
    """From the coefficients of E Z and of the gradient of the true loss, and from E||Z||^2."""
    norm = gram.norm(mean)
    return LossGradientMoments(norm, gram.norm(mean - true), second - norm**2)


def _given_mask(lattice: Lattice, gram: GradientGram, values: Array) -> Array:
    """E[f(s_hat) | mask m is drawn], f by its values on the lattice, (M,)."""
    out = np.zeros(len(gram.prob))
    for part, k in policy_parts(lattice, gram):
        for rows, siblings in lattice.siblings(k):
            given = lattice.mean(values, siblings * lattice.rest(k))
            out[part][rows] = interpolate(given, lattice.atoms[k].place[rows])
    return out


def policy_parts(lattice: Lattice, gram: GradientGram) -> list[tuple[slice, int]]:
    """Of every response or block: rows of its masks in the Gram matrix, and its atoms' number on the lattice."""
    return list(zip([rows for side in SIDES for rows in gram.parts(side)], lattice.policy, strict=True))


def _over_pairs(lattice: Lattice, gram: GradientGram, values: Array, weight: Array) -> float:
    """Sum over the pairs of masks drawn apart; see `loss_gradient_moments`."""
    budget, parts = lattice.budget, policy_parts(lattice, gram)
    inner = weight[:, None] * gram.gram * weight
    found = [2 * _timesteps(lattice, inner[a, b], values, j, k) for (a, j), (b, k) in combinations(parts, 2)]
    for rows, k in parts:
        own = inner[rows, rows]
        if budget.n_t > 1:
            found.append((budget.n_t - 1) / budget.n_t * _timesteps(lattice, own, values, k, k))
        if budget.n_yt > 1:
            found.append((budget.n_yt - 1) / budget.n * _one_timestep(lattice, own, values, k))
    return math.fsum(found)


def _timesteps(lattice: Lattice, inner: Array, values: Array, j: int, k: int) -> float:
    """Sum over masks of two timesteps, of one part (j = k) or of two."""
    rest, total = lattice.rest(j, k), 0.0
    for a, first in lattice.siblings(j):
        for b, second in lattice.siblings(k):
            given = lattice.mean(values, first * second * rest)
            place = lattice.atoms[j].place[a][:, None] + lattice.atoms[k].place[b]
            total += float((inner[np.ix_(a, b)] * interpolate(given, place)).sum())
    return total


def _one_timestep(lattice: Lattice, inner: Array, values: Array, k: int) -> float:
    """L times the sum over two masks of one timestep: the level of one is the other's."""
    levels, rest, total = lattice.atoms[k].levels(), lattice.rest(k), 0.0
    for rows, level in zip(levels, lattice.levels[k], strict=True):
        given = lattice.mean(values, level ** (lattice.budget.n_yt - 2) * rest)
        place = lattice.atoms[k].place[rows]
        total += float((inner[np.ix_(rows, rows)] * interpolate(given, place[:, None] + place)).sum())
    return len(levels) * total
