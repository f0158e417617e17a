"""Equations 9 and 20, Propositions 2 to 4, Corollary 1: the score and its gradient, and sharing.

Per side y, ELBO estimates of policy and reference on the same masks; delta = policy - reference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import expect, spread
from vrpo_theory.numerics import total
from vrpo_theory.statements._experiments import MarginLaw, TwoStage, margin_law
from vrpo_theory.statements.base import PAPER, state
from vrpo_theory.types import Budget

SIDES_INDEPENDENT = "chosen and rejected are sampled independently"
UNBIASED = "every B_hat has the ELBO as its mean"


def variance(between: ArrayLike, within: ArrayLike, budget: Budget, beta: float, across: float = 0.0) -> float:
    """V s_hat under sharing, from the components of one timestep's terms, in nats squared (ours).

    beta^2 sum_y [V_t(delta_y)/n_t + E_t V(Delta_y | t)/(n_t n_yt)] - 2 beta^2 Cov_t(delta_w, delta_l)/n_t.

    Parameters
    ----------
    between, within : (side 2, role 2, role 2)
        Covariance over timesteps, and mean covariance within timesteps, of (policy, reference).
    across : float
        Cov_t(delta_w, delta_l) if chosen and rejected share timesteps, else 0.
    """
    sign = np.array([1.0, -1.0])
    time, mask = (float(np.einsum("yij,i,j->", np.asarray(c), sign, sign)) for c in (between, within))
    return beta**2 * ((time - 2 * across) / budget.n_t + mask / budget.n)


def sharing_gain(between: ArrayLike, within: ArrayLike, budget: Budget, beta: float) -> float:
    """V s_hat without sharing minus V s_hat with it, in nats squared (ours).

    2 beta^2 sum_y [Cov_t(b_policy, b_reference)/n_t + E_t Cov(ell_policy, ell_reference | t)/(n_t n_yt)]; positive if
    and only if sharing helps. Its sign can change with n_yt.
    """
    time, mask = (float(np.asarray(c)[:, 0, 1].sum()) for c in (between, within))
    return 2 * beta**2 * (time / budget.n_t + mask / budget.n)


def score(x: MarginLaw) -> NDArray[np.float64]:
    """s_hat at every atom, (Q,) (2505.19223v2, Eq. 7)."""
    delta = x.elbo[:, :, 0] - x.elbo[:, :, 1]
    return x.beta * (delta[:, 0] - delta[:, 1])


def score_gradient(x: MarginLaw) -> NDArray[np.float64]:
    """grad s_hat at every atom, (Q, D); the reference has no gradient."""
    return x.beta * (x.gradient[:, 0] - x.gradient[:, 1])


def same_level(**stated: Any) -> MarginLaw:
    """Chosen and rejected share their timesteps, and agree in sign."""
    value = np.array([[[1.0, 0.0, 1.0]], [[-1.0, 0.0, -1.0]]])
    stage = TwoStage(np.array([0.5, 0.5]), np.ones((2, 1)), value)
    return margin_law(stage, stage, Budget(1, 1), 1.0, levels_shared=True, **stated)


def opposed_levels() -> MarginLaw:
    """Timesteps shared by both sides, where policy and reference agree but the sides' differences are opposed."""
    prob, masks = np.array([0.5, 0.5]), np.ones((2, 1))
    chosen = TwoStage(prob, masks, np.array([[[1.1, 0.1]], [[-1.1, -0.1]]]))
    rejected = TwoStage(prob, masks, np.array([[[-1.1, -0.1]], [[1.1, 0.1]]]))
    return margin_law(chosen, rejected, Budget(1, 1), 1.0, levels_shared=True)


def _biased() -> MarginLaw:
    return same_level(truth=np.array([[0.5, 0.0], [0.0, 0.0]]))


@state(
    "equation9", PAPER + "Eq. 9", r"\mathbb{V}\hat s = \beta^2 \sum_y [\mathbb{V}\hat B_\theta + \mathbb{V}\hat B_{ref}"
    r" - 2\,\mathrm{Corr}\,(\mathbb{V}\hat B_\theta \mathbb{V}\hat B_{ref})^{1/2}]", "=", "margin law",
    assumptions=(SIDES_INDEPENDENT,), violated_by=same_level, sharp="score_variance",
)  # fmt: skip
def from_correlations(x: MarginLaw) -> tuple[float, float]:
    """Variance of a difference, on each side; the sides add as they are independent."""
    parts = []
    for estimates in x.elbo.transpose(1, 2, 0):
        policy, reference = (spread(x.prob, e) for e in estimates)
        covariance = expect(x.prob, (estimates[0] - x.prob @ estimates[0]) * estimates[1])
        root = math.sqrt(policy * reference)
        correlation = covariance / root if root else 0.0
        parts.append(policy + reference - 2 * correlation * root)
    return spread(x.prob, score(x)), x.beta**2 * total(parts)


@state(
    "score_variance", "ours",
    r"\mathbb{V}\hat s = \beta^2 \sum_y [V_t(\delta_y)/n_t + E_t V(\Delta_y|t)/(n_t n_{y_t})]"
    r" - 2\beta^2 \mathrm{Cov}_t(\delta_w, \delta_l)/n_t", "=", "margin law", form="sharp",
    assumptions=("Cov_t(delta_w, delta_l) is counted where the sides share timesteps",),
    violated_by=lambda: same_level(across=0.0),
)  # fmt: skip
def from_components(x: MarginLaw) -> tuple[float, float]:
    """Lemma 5 on the margin's own terms. Sharing timesteps across the sides too helps only if their covariance > 0."""
    return spread(x.prob, score(x)), variance(x.between, x.within, x.budget, x.beta, x.across)


def _unshared_variance(x: MarginLaw) -> float:
    return x.beta**2 * total([spread(x.prob, estimate) for estimate in x.elbo.reshape(len(x.prob), 4).T])


@state(
    "proposition2", PAPER + "Proposition 2",
    r"\mathrm{Corr}(\hat B_\theta, \hat B_{ref}) > 0 \Rightarrow"
    r" \mathbb{V}\hat s|_{shared} < \mathbb{V}\hat s|_{indep}",
    "implies", "margin law", assumptions=(SIDES_INDEPENDENT,), violated_by=opposed_levels, sharp="sharing_gain",
)  # fmt: skip
def positive_correlation(x: MarginLaw) -> tuple[bool, bool]:
    """Eq. 9 without its last term is the variance on independent masks. Sufficient, not necessary: a negative
    correlation on one side may be outweighed by the other; `gain` is the exact condition."""
    covariance = [expect(x.prob, (b[0] - x.prob @ b[0]) * b[1]) for b in x.elbo.transpose(1, 2, 0)]
    return min(covariance) > 1e-9, spread(x.prob, score(x)) < _unshared_variance(x)


@state(
    "sharing_gain", "ours",
    r"\mathbb{V}\hat s|_{indep} - \mathbb{V}\hat s|_{shared} = 2\beta^2 \sum_y [\mathrm{Cov}_t(b_\theta, b_{ref})/n_t"
    r" + E_t \mathrm{Cov}(\ell_\theta, \ell_{ref}|t)/(n_t n_{y_t})]", "=", "margin law", form="sharp",
    assumptions=(SIDES_INDEPENDENT,), violated_by=same_level,
)  # fmt: skip
def gain(x: MarginLaw) -> tuple[float, float]:
    """Common random numbers: the covariance of the two estimates, split by Lemma 5. Independent masks keep every
    estimate's own law, so the left side's first term reads marginal variances only."""
    shared = spread(x.prob, score(x))
    return _unshared_variance(x) - shared, sharing_gain(x.between, x.within, x.budget, x.beta)


@state(
    "proposition3", PAPER + "Proposition 3", r"\mathbb{E}\hat s = s", "=", "margin law", form="sharp",
    assumptions=(UNBIASED,), violated_by=_biased,
)  # fmt: skip
@state(
    "proposition4", PAPER + "Proposition 4", r"\mathbb{E}\hat s = s \text{ under VRPO}", "=", "margin law",
    form="sharp", assumptions=(UNBIASED,), violated_by=_biased,
)  # fmt: skip
def unbiased(x: MarginLaw) -> tuple[float, float]:
    """s_hat is linear in the four estimates, and expectation does not see which draws they share."""
    truth = x.truth[:, 0] - x.truth[:, 1]
    return expect(x.prob, score(x)), x.beta * float(truth[0] - truth[1])


@state(
    "section33_reward", PAPER + "section 3.3, KL-penalised reward",
    r"\mathbb{E}(\hat B_\theta - \hat B_{ref}) = B_\theta - B_{ref}", "=", "margin law", form="sharp",
    assumptions=(UNBIASED,), violated_by=_biased,
)  # fmt: skip
def reward(x: MarginLaw) -> tuple[float, float]:
    """The log-ratio is linear in the estimates, so Propositions 1 and 2 apply as they stand (chosen side shown)."""
    return expect(x.prob, x.elbo[:, 0, 0] - x.elbo[:, 0, 1]), float(x.truth[0, 0] - x.truth[0, 1])


@state(
    "equation20", PAPER + "Eq. 20",
    r"\mathbb{V}\nabla\hat s = \beta^2 \mathbb{V}\nabla\hat B(w) + \beta^2 \mathbb{V}\nabla\hat B(l)", "=",
    "margin law", form="sharp", assumptions=(SIDES_INDEPENDENT,), violated_by=same_level,
)  # fmt: skip
def gradient_variance(x: MarginLaw) -> tuple[float, float]:
    """The reference has no gradient and the sides are independent; so sharing cannot reduce this variance."""
    sides = [spread(x.prob, x.gradient[:, side]) for side in range(2)]
    return spread(x.prob, score_gradient(x)), x.beta**2 * total(sides)


@state(
    "corollary1", PAPER + "Corollary 1", r"\|\nabla\hat s\| \le 2\beta C", "<=", "margin law", form="sharp",
    assumptions=("||grad ell|| <= C (Assumption 1)",), witness=lambda: opposed_gradients(),
    violated_by=lambda: opposed_gradients(bound=0.5),
)  # fmt: skip
def gradient_bound(x: MarginLaw) -> tuple[float, float]:
    """Triangle inequality on two means of terms of norm at most C; equality when the sides' gradients are opposed."""
    return float(np.linalg.norm(score_gradient(x), axis=1).max()), 2 * x.beta * x.bound


def opposed_gradients(**stated: Any) -> MarginLaw:
    """Gradients of norm 1, opposed across the sides."""
    sides = [TwoStage(np.ones(1), np.ones((1, 1)), np.array([[[0.0, 0.0, g]]])) for g in (1.0, -1.0)]
    return margin_law(sides[0], sides[1], Budget(1, 1), 0.2, **stated)
