"""Two-stage experiments (a level, then masks at it), and the joint laws of the estimates built on them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrpo_theory.instances import Array, expect
from vrpo_theory.types import Budget, Moments


@dataclass(frozen=True, eq=False)
class TwoStage:
    """A finite level, then finite masks at it.

    Parameters
    ----------
    level_prob : (T,) float
    mask_prob : (T, M) float
        Rows sum to 1.
    value : (T, M, K) float
        What one mask says: the columns are ELBO terms of several models, or gradient entries.
    """

    level_prob: Array
    mask_prob: Array
    value: Array

    def between(self) -> Array:
        """Covariance over levels of the conditional mean, (K, K)."""
        conditional = np.einsum("tm,tmk->tk", self.mask_prob, self.value)
        centred = conditional - self.level_prob @ conditional
        found: Array = np.einsum("t,ti,tj->ij", self.level_prob, centred, centred)
        return found

    def within(self) -> Array:
        """Mean over levels of the conditional covariance, (K, K)."""
        centred = self.value - np.einsum("tm,tmk->tk", self.mask_prob, self.value)[:, None]
        found: Array = np.einsum("t,tm,tmi,tmj->ij", self.level_prob, self.mask_prob, centred, centred)
        return found

    def given(self, levels: tuple[int, ...], n_yt: int) -> tuple[Array, Array]:
        """Law (Q,), (Q, K) of the mean of n_yt masks at each of the given levels, by listing them all."""
        rows = [row for row in levels for _ in range(n_yt)]
        masks = list(itertools.product(range(self.mask_prob.shape[1]), repeat=len(rows)))
        prob = [math.prod(self.mask_prob[r, m] for r, m in zip(rows, mask, strict=True)) for mask in masks]
        return np.array(prob), np.array([self.value[rows, list(mask)].mean(0) for mask in masks])

    def levels(self, n_t: int) -> list[tuple[float, tuple[int, ...]]]:
        """Every sequence of n_t iid levels with its probability."""
        sequences = itertools.product(range(len(self.level_prob)), repeat=n_t)
        return [(math.prod(self.level_prob[list(s)]), s) for s in sequences]

    def joint(self, budget: Budget) -> tuple[Array, Array]:
        """Law (Q,), (Q, K) of the estimate, by listing every draw."""
        return _mixture([(p, *self.given(s, budget.n_yt)) for p, s in self.levels(budget.n_t)])


def _mixture(parts: list[tuple[float, Array, Array]]) -> tuple[Array, Array]:
    return np.concatenate([p * prob for p, prob, _ in parts]), np.concatenate([value for _, _, value in parts])


@dataclass(frozen=True, eq=False)
class EstimatorLaw:
    """Finite joint law of a doubly Monte Carlo estimate, with the components of one timestep's term.

    Parameters
    ----------
    prob : (Q,) float
    value : (Q,) or (Q, D) float
        The ELBO estimate, or its gradient.
    moments : Moments
        V_t and V_yt; traces for gradients, ``mean`` then being the norm of the expectation.
    budget : Budget
    cost : (float, float)
        Cost of a timestep and of a mask.
    """

    prob: Array
    value: Array
    moments: Moments
    budget: Budget
    cost: tuple[float, float] = (1.0, 1.0)


def estimator_law(stage: TwoStage, budget: Budget, cost: tuple[float, float] = (1.0, 1.0)) -> EstimatorLaw:
    """The law of the estimate on iid timesteps, and the components of its first stage."""
    prob, value = stage.joint(budget)
    moments = Moments(
        float(np.linalg.norm(prob @ value)), float(np.trace(stage.between())), float(np.trace(stage.within()))
    )
    return EstimatorLaw(prob, value, moments, budget, cost)


@dataclass(frozen=True, eq=False)
class MarginLaw:
    """Finite joint law of all ELBO estimates of a preference pair; sides are chosen 0, rejected 1.

    Parameters
    ----------
    prob : (Q,) float
    elbo : (Q, side 2, role 2) float
        B_hat under policy (0) and reference (1), on shared masks.
    gradient : (Q, side 2, D) float
        Gradient of the policy's B_hat.
    beta, bound : float
        DPO's temperature; C with ||grad ell|| <= C.
    truth : (side 2, role 2) float
        The ELBOs that the estimates are meant for.
    between, within : (side 2, role 2, role 2) float
        Covariance of one timestep's terms: over timesteps, and mean within timesteps.
    across : float
        Cov_t(delta_w, delta_l), zero unless chosen and rejected share timesteps.
    budget : Budget
    """

    prob: Array
    elbo: Array
    gradient: Array
    beta: float
    bound: float
    truth: Array
    between: Array
    within: Array
    across: float
    budget: Budget


def margin_law(
    chosen: TwoStage, rejected: TwoStage, budget: Budget, beta: float, *, levels_shared: bool = False, **stated: Any
) -> MarginLaw:
    """Both sides' joint law. Columns of ``value``: policy's ell, reference's ell, then the gradient of the policy's."""
    sides = (chosen, rejected)
    prob, value = _both(sides, budget, levels_shared)
    true: dict[str, Any] = {
        "bound": max(float(np.linalg.norm(s.value[..., 2:], axis=-1).max()) for s in sides),
        "truth": np.stack([np.einsum("t,tm,tmk->k", s.level_prob, s.mask_prob, s.value)[:2] for s in sides]),
        "between": np.stack([s.between()[:2, :2] for s in sides]),
        "within": np.stack([s.within()[:2, :2] for s in sides]),
        "across": _across(sides) if levels_shared else 0.0,
    }
    return MarginLaw(prob, value[..., :2], value[..., 2:], beta, budget=budget, **(true | stated))


def _both(sides: tuple[TwoStage, TwoStage], budget: Budget, levels_shared: bool) -> tuple[Array, Array]:
    if not levels_shared:
        return _product(*(s.joint(budget) for s in sides))
    parts = [(p, *_product(*(s.given(lv, budget.n_yt) for s in sides))) for p, lv in sides[0].levels(budget.n_t)]
    return _mixture(parts)


def _product(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Law (Q,), (Q, 2, K) of two independent values side by side."""
    i, j = np.divmod(np.arange(len(a[0]) * len(b[0])), len(b[0]))
    return a[0][i] * b[0][j], np.stack([a[1][i], b[1][j]], axis=1)


def _across(sides: tuple[TwoStage, TwoStage]) -> float:
    delta = [np.einsum("tm,tm->t", s.mask_prob, s.value[..., 0] - s.value[..., 1]) for s in sides]
    prob = sides[0].level_prob
    return expect(prob, (delta[0] - prob @ delta[0]) * (delta[1] - prob @ delta[1]))
