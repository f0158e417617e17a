"""Exact moments of the leave-one-out gradient of the DPO loss.

Notation as in `vrpo_theory.exact.loss_gradients`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.exact._lattice import NODES, Lattice, split
from vrpo_theory.exact.cases import true_margin
from vrpo_theory.exact.gradients import score_gradient
from vrpo_theory.exact.grams import GradientGram
from vrpo_theory.exact.loss_gradients import LossGradientMoments, check, policy_parts, summary
from vrpo_theory.numerics import sigmoid
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Case

Array = NDArray[np.float64]

POINTS = 2**12
"""Lattice points whose coefficient vectors are held at a time."""


def leave_one_out_moments(tabulated: Case, gram: GradientGram, scheme: Scheme, beta: float) -> LossGradientMoments:
    """Moments of the leave-one-out gradient Z = -(1/n) sum_i q(s_hat_(-i)) G_i: iid counts, plain weights.

    G_i is beta times the difference of timestep i's gradients of the two responses, and s_hat_(-i) the score of the
    other n - 1 timesteps of all contrasts: independent, so the covariance of slope and gradient is no bias.

    Parameters
    ----------
    scheme : Scheme
        n_t >= 2 timesteps of one mask.
    tabulated, gram, beta
        As in `loss_gradient_moments`.

    Raises
    ------
    ValueError
        For other budgets, or as in `loss_gradient_moments`.

    Notes
    -----
    Source: ours. E Z = -E q(s_hat of n - 1 timesteps) grad s. In E||Z||^2, the n equal terms of one timestep are
    E q(s_hat_(-1))^2 E||G_1||^2 by independence. Two timesteps i, j leave each other's out: with T the sum over the
    other n - 2 and x a timestep's addend, both slopes are functions of T and the other's x, and given T the timesteps
    are iid. So each of the n (n - 1) terms is E_T ||v(T)||^2, v(T) = E[q(x + T) G], whose coefficient at mask m is
    w_m E q(x_m + R + T), R the timestep's addends of the other contrasts.
    """
    budget = scheme.vrpo_budget
    if budget.n_yt != 1 or budget.n_t < 2:
        raise ValueError(f"leave-one-out needs n_t >= 2 and n_yt = 1, got n_t = {budget.n_t}, n_yt = {budget.n_yt}")
    check(tabulated, gram)
    lattice = Lattice(tabulated, Scheme(budget=Budget(budget.n_t - 1), coupling=scheme.coupling), beta)
    slope, weight = sigmoid(-lattice.score), score_gradient(gram, beta)
    every = lattice.rest()
    mean = -weight * lattice.mean(slope, every)[0]
    true = -float(sigmoid(-beta * true_margin(tabulated))) * weight
    one = lattice.mean(slope**2, every)[0] * _timestep_square(gram, weight)
    second = (one + (budget.n - 1) * _two_left_out(lattice, gram, slope, weight)) / budget.n
    return summary(gram, mean, true, float(second))


def _timestep_square(gram: GradientGram, weight: Array) -> float:
    """E||G||^2 of one timestep of one mask a response or block, all independent."""
    own = weight**2 / gram.prob * np.diag(gram.gram)
    parts = [rows for side in SIDES for rows in gram.parts(side)]
    return float(own.sum() + 2 * sum(weight[a] @ gram.gram[a, b] @ weight[b] for a, b in combinations(parts, 2)))


def _two_left_out(lattice: Lattice, gram: GradientGram, slope: Array, weight: Array) -> float:
    """E_T ||v(T)||^2; see `leave_one_out_moments`. The lattice's budget is n - 1."""
    others = lattice.budget.n_t - 1
    reach = others * sum(atoms.span - 1 for atoms in lattice.atoms) + 1
    law = np.fft.irfft(np.prod([step**others for step in lattice.timestep], axis=0), lattice.points)[:reach]
    parts = policy_parts(lattice, gram)
    given = {
        k: lattice.mean(slope, np.prod([s for c, s in enumerate(lattice.timestep) if c != k], axis=0)) for _, k in parts
    }
    total = 0.0
    for start in range(0, reach, POINTS):
        points = np.arange(start, min(start + POINTS, reach))
        vectors = np.zeros((len(weight), len(points)))
        for rows, k in parts:
            first, share = split(lattice.atoms[k].place)
            vectors[rows] = sum(share[:, [j]] * given[k][first[:, None] + j + points] for j in NODES)
        vectors *= weight[:, None]
        total += float(law[points] @ (gram.gram @ vectors * vectors).sum(0))
    return total
