"""Exact moments of gradients of the ELBO and of the score, in trace.

Every gradient here is a combination of the per-mask gradients grad S_m, so a vector is carried as its coefficients over
the masks of both responses, and its norm comes from the Gram matrix: no replication, no noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.exact.grams import GradientGram
from vrpo_theory.numerics import total
from vrpo_theory.types import SIDES, Budget, Side

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GradientMoments:
    """Mean and variance components of an unbiased gradient estimate on iid timesteps (2505.19223v2, Lemma 5 (ii)).

    Parameters
    ----------
    mean_norm : float
        Norm of the expectation.
    v_time, v_mask : float
        V_t and V_yt of one timestep's term, as traces of covariances.
    """

    mean_norm: float
    v_time: float
    v_mask: float

    def variance(self, budget: Budget) -> float:
        """Trace of the covariance of the estimate: V_t/n_t + V_yt/(n_t n_yt)."""
        return self.v_time / budget.n_t + self.v_mask / budget.n


def elbo_gradient_moments(gram: GradientGram, side: Side) -> GradientMoments:
    """Moments of grad B_hat of one response under the policy: iid counts, plain weights.

    Source: 2505.19223v2, Lemma 5 (ii). Means over the masks of a level and deviations from them are coefficient vectors
    too, so neither component is a small difference of large squares. Blocks are independent, so components add up.
    """
    parts = [_part_moments(gram, rows) for rows in gram.parts(side)]
    mean = np.zeros(len(gram.prob))
    mean[gram.rows(side)] = np.concatenate([part[0] for part in parts])
    return GradientMoments(gram.norm(mean), total([part[1] for part in parts]), total([part[2] for part in parts]))


def _part_moments(gram: GradientGram, rows: slice) -> tuple[Array, float, float]:
    """Of one response or block: coefficients of the mean over its masks, V_t and V_yt."""
    inner, counts, prob = gram.gram[rows, rows], gram.counts[rows], gram.prob[rows]
    factor = gram.lengths[rows] / counts
    member = counts == np.arange(1, counts.max() + 1)[:, None]
    level = member * factor / member.sum(1, keepdims=True)
    between, within = level - level.mean(0), np.diag(factor) - level[counts - 1]
    return level.mean(0), float(_squares(inner, between).mean()), float(prob @ _squares(inner, within))


def score_gradient_moments(gram: GradientGram, beta: float) -> GradientMoments:
    """Moments of grad s_hat; the responses' draws are independent, and the reference has no gradient."""
    parts = [elbo_gradient_moments(gram, side) for side in SIDES]
    v_time, v_mask = (beta**2 * sum(getattr(part, name) for part in parts) for name in ("v_time", "v_mask"))
    return GradientMoments(gram.norm(score_gradient(gram, beta)), v_time, v_mask)


def score_gradient(gram: GradientGram, beta: float) -> Array:
    """Coefficients of the gradient of the true score, (M,): w_m = +-beta pi_m L/l, minus for the rejected response.

    pi_m = 1/(L C(L, l)) is the probability of a mask of l tokens under the count form.
    """
    sign = np.ones(len(gram.prob))
    sign[gram.rows("rejected")] = -1
    return beta * sign * gram.prob * gram.lengths / gram.counts


def _squares(inner: Array, rows: Array) -> Array:
    """Squared norms of several vectors given by their coefficients, (vectors, M)."""
    return np.asarray((rows @ inner * rows).sum(1), dtype=float)
