"""Lemma 5: variance of the doubly Monte Carlo ELBO estimate and of its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vrpo_theory.instances import spread
from vrpo_theory.statements._experiments import EstimatorLaw
from vrpo_theory.statements.base import PAPER, state
from vrpo_theory.types import Budget, Moments


def variance(moments: Moments, budget: Budget) -> float:
    """V_t/n_t + V_yt/(n_t n_yt): the variance of a mean over iid timesteps, n_yt masks each.

    Parameters
    ----------
    moments : Moments
        Components of ONE timestep's term; infinite components give an infinite variance.
    budget : Budget

    Returns
    -------
    float
        Nats squared; nan where a component is unknown (None), since no budget makes an unknown component vanish.

    Notes
    -----
    Law of total variance: given the timesteps, masks are independent, so V[B_hat | t] averages to V_yt/(n_t n_yt); the
    conditional mean is an average of n_t iid terms, of variance V_t/n_t (2505.19223v2, Lemma 5).
    """
    if moments.v_time is None or moments.v_mask is None:
        return math.nan
    return moments.v_time / budget.n_t + moments.v_mask / budget.n


def fit(budgets: Sequence[Budget], variances: Sequence[float]) -> Moments:
    """Components that fit measured variances best, in relative least squares (ours).

    Parameters
    ----------
    budgets, variances : sequences of equal length, at least 2
        All at one checkpoint and one sharing; variances positive.

    Returns
    -------
    Moments
        ``mean`` is nan: variances do not tell it.
    """
    measured = np.asarray(variances, dtype=float)
    columns = np.array([[1 / b.n_t, 1 / b.n] for b in budgets]) / measured[:, None]
    v_time, v_mask = np.linalg.lstsq(columns, np.ones(len(measured)), rcond=None)[0]
    return Moments(math.nan, float(v_time), float(v_mask))


def repeats_needed(error: float, pairs: int, variation: float, kurtosis: float) -> float:
    """Repeats per pair for a relative standard error of the variance averaged over pairs (ours).

    (1 + CV^2)(kappa4 - 1)/(M error^2): a sample variance of R draws has variance v^2 (kappa4 - 1)/R to leading order,
    and averaging over M pairs gives mean(v^2) (kappa4 - 1)/(M R) = mean(v)^2 (1 + CV^2)(kappa4 - 1)/(M R).

    Parameters
    ----------
    error : float
        Wanted standard error over the value, such as 0.05.
    pairs : int
        M.
    variation : float
        CV, standard deviation over mean of the variance across pairs.
    kurtosis : float
        Of one estimate given its pair.
    """
    return (1 + variation**2) * (kurtosis - 1) / (pairs * error**2)


def _systematic() -> EstimatorLaw:
    """Two timesteps, one of each kind always, whose terms cancel: said to be iid."""
    return EstimatorLaw(np.array([1.0]), np.zeros((1, 1)), Moments(0.0, 1.0, 0.0), Budget(2, 1))


@state(
    "lemma5_value", PAPER + "Lemma 5 (i)", r"\mathbb{V}\hat B = V_t/n_t + V_{y_t}/(n_t n_{y_t})", "=", "estimator law",
    form="sharp", assumptions=("timesteps are iid", "masks are independent given their timestep", "V_t, V_yt < inf"),
    violated_by=_systematic,
)  # fmt: skip
@state(
    "lemma5_gradient", PAPER + "Lemma 5 (ii)",
    r"\mathrm{tr}\,\mathbb{V}\nabla\hat B = V_t^{\nabla}/n_t + V_{y_t}^{\nabla}/(n_t n_{y_t})", "=", "estimator law",
    form="sharp", assumptions=("timesteps are iid", "masks are independent given their timestep", "V_t, V_yt < inf"),
    violated_by=_systematic,
)  # fmt: skip
def decomposition(x: EstimatorLaw) -> tuple[float, float]:
    """The law of total variance, see `variance`; coordinate by coordinate for the gradient. V_yt is infinite in the
    time form down to t = 0, see `time_form`."""
    return spread(x.prob, x.value), variance(x.moments, x.budget)
