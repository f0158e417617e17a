"""Propositions 1 and 5: how to spend a budget of forward passes, and the optimum under a cost model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import spread
from vrpo_theory.statements._experiments import EstimatorLaw, TwoStage, estimator_law
from vrpo_theory.statements.base import PAPER, state
from vrpo_theory.types import Budget, Moments

Array = NDArray[np.float64]
IID = "timesteps are iid, masks independent given their timestep"


def optimal_masks(v_time: ArrayLike, v_mask: ArrayLike, cost_time: ArrayLike, cost_mask: ArrayLike) -> Array:
    """n_yt* = sqrt(c_t V_yt/(c_y V_t)), before rounding and never below 1 in use (ours).

    Parameters
    ----------
    v_time, v_mask : array_like
        V_t > 0 and V_yt.
    cost_time, cost_mask : array_like
        Cost of a new timestep, and of each mask at it.
    """
    return np.sqrt(np.asarray(cost_time, dtype=float) * v_mask / (np.asarray(cost_mask, dtype=float) * v_time))


def least_cost_variance(v_time: ArrayLike, v_mask: ArrayLike, cost_time: ArrayLike, cost_mask: ArrayLike) -> Array:
    """(sqrt(V_t c_t) + sqrt(V_yt c_y))^2: least product of cost and variance (ours)."""
    time, mask = np.asarray(v_time, dtype=float) * cost_time, np.asarray(v_mask, dtype=float) * cost_mask
    return (np.sqrt(time) + np.sqrt(mask)) ** 2


def _components(x: EstimatorLaw) -> tuple[float, float]:
    return float(x.moments.v_time or 0.0), float(x.moments.v_mask or 0.0)


def _complementary() -> EstimatorLaw:
    """A mask and its complement at one timestep, whose errors cancel: said to be independent."""
    return EstimatorLaw(np.array([1.0]), np.zeros((1, 1)), Moments(0.0, 0.0, 1.0), Budget(1, 2))


def _only_time(n_yt: int) -> EstimatorLaw:
    """All variance is between timesteps: more masks at one timestep do nothing."""
    stage = TwoStage(np.array([0.5, 0.5]), np.ones((2, 1)), np.array([[[-1.0]], [[1.0]]]))
    return estimator_law(stage, Budget(1, n_yt))


def _only_masks() -> EstimatorLaw:
    stage = TwoStage(np.ones(1), np.full((1, 2), 0.5), np.array([[[-1.0], [1.0]]]))
    return estimator_law(stage, Budget(1, 2))


def _balanced() -> EstimatorLaw:
    """V_t = 1, V_yt = 4 at equal costs, spent at n_yt = 2: the optimum."""
    value = np.array([[[-3.0], [1.0]], [[-1.0], [3.0]]])
    return estimator_law(TwoStage(np.array([0.5, 0.5]), np.full((2, 2), 0.5), value), Budget(1, 2))


def _one_mask(x: EstimatorLaw) -> EstimatorLaw:
    """The instance as it is if n_yt = 1; else a single draw of the same components."""
    if x.budget.n_yt == 1:
        return x
    root = np.sqrt(_components(x))
    stage = TwoStage(np.full(2, 0.5), np.full((2, 2), 0.5), (root[0] * np.array([[-1, -1], [1, 1]])
                     + root[1] * np.array([[-1, 1], [-1, 1]]))[..., None])  # fmt: skip
    return estimator_law(stage, Budget(x.budget.n_t, 1))


@state(
    "proposition5_rate", PAPER + "Proposition 5 (i)", r"\mathrm{tr}\,\mathbb{V}\nabla\hat B = \Theta(1/n)", "=",
    "estimator law", verdict="vacuous without a condition", assumptions=(IID, "n_t grows with n: here n_yt = 1"),
    restrict=_one_mask, violated_by=lambda: _only_time(3),
)  # fmt: skip
@state(
    "proposition1_rate", PAPER + "Proposition 1 (i)", r"\mathbb{V}\hat B = \Theta(1/n)", "=", "estimator law",
    verdict="vacuous without a condition", assumptions=(IID, "n_t grows with n: here n_yt = 1"),
    restrict=_one_mask, violated_by=lambda: _only_time(3),
)  # fmt: skip
def rate(x: EstimatorLaw) -> tuple[float, float]:
    """n V B_hat is the constant V_t + V_yt when n_yt = 1, and V_t n_yt + V_yt in general (Lemma 5).

    So 1/n needs n_t proportional to n: with n_t fixed and n_yt growing, V_t/n_t remains. It also needs finite
    components, which the time form down to t = 0 does not have.
    """
    return x.budget.n * spread(x.prob, x.value), sum(_components(x))


@state(
    "proposition5_allocation", PAPER + "Proposition 5 (ii)",
    r"\mathrm{tr}\,\mathbb{V}\nabla\hat B\,|_{(n, 1)} \le \mathrm{tr}\,\mathbb{V}\nabla\hat B\,|_{(n_t, n_{y_t})}",
    "<=", "estimator law", form="sharp", assumptions=(IID,), witness=_only_masks, violated_by=_complementary,
)  # fmt: skip
@state(
    "proposition1_allocation", PAPER + "Proposition 1 (ii)",
    r"\mathbb{V}\hat B\,|_{(n, 1)} \le \mathbb{V}\hat B\,|_{(n_t, n_{y_t})}", "<=", "estimator law", form="sharp",
    assumptions=(IID,), witness=_only_masks, violated_by=_complementary,
)  # fmt: skip
def allocation(x: EstimatorLaw) -> tuple[float, float]:
    """(V_t + V_yt)/n <= V_t/n_t + V_yt/n, as n_t <= n. The minimum is unique only if V_t > 0.

    It is a statement about independent masks: a mask and its complement at one timestep can beat it.
    """
    return sum(_components(x)) / x.budget.n, spread(x.prob, x.value)


@state(
    "cost_allocation", "ours",
    r"(\sqrt{V_t c_t} + \sqrt{V_{y_t} c_y})^2 \le n_t (c_t + n_{y_t} c_y)\, \mathbb{V}\hat B", "<=", "estimator law",
    form="sharp", assumptions=(IID, "a timestep costs c_t and each mask at it c_y"),
    witness=_balanced, violated_by=_complementary,
)  # fmt: skip
def cost_allocation(x: EstimatorLaw) -> tuple[float, float]:
    """Cauchy-Schwarz on (c_t + n_yt c_y)(V_t + V_yt/n_yt); equality at n_yt = sqrt(c_t V_yt/(c_y V_t)).

    Proposition 1 (ii) is c_t = 0: only forward passes cost.
    """
    cost_time, cost_mask = x.cost
    cost = x.budget.n_t * (cost_time + x.budget.n_yt * cost_mask)
    return float(least_cost_variance(*_components(x), *x.cost)), cost * spread(x.prob, x.value)
