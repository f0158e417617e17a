"""Numerics that every layer may use: log-sigmoid, sums in float64, means and variances with errors (layer 0)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.types import Estimate


def log_sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    """log sigmoid(x) without overflow."""
    return -np.logaddexp(0.0, -np.asarray(x, dtype=float))


def sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow."""
    return np.exp(log_sigmoid(x))


def total(values: ArrayLike) -> float:
    """Correctly rounded sum: independent of order, hence of batch size."""
    return math.fsum(np.asarray(values, dtype=float).ravel())


def mean_estimate(values: ArrayLike) -> Estimate:
    """Mean of iid values with its standard error (None for one value)."""
    x = np.asarray(values, dtype=float)
    mean = total(x) / x.size
    if x.size < 2:
        return Estimate(mean, None, "one replication: no standard error")
    return Estimate(mean, math.sqrt(total((x - mean) ** 2) / (x.size - 1) / x.size))


def variance_estimate(values: ArrayLike) -> Estimate:
    """Unbiased variance of iid rows with its fourth-moment standard error.

    Parameters
    ----------
    values : (R,) or (R, D) array
        Replications; for vectors the variance is the trace of the covariance, E ||Z - EZ||^2.

    Returns
    -------
    Estimate
        stderr is the jackknife's: the spread of the R leave-one-out variances. None for R < 3.
    """
    x = np.asarray(values, dtype=float)
    x = x.reshape(len(x), -1)
    return variance_from_squares(((x - x.mean(0)) ** 2).sum(1))


def variance_from_squares(squares: NDArray[Any]) -> Estimate:
    """Variance and its standard error from the R squared distances to the sample mean."""
    r = len(squares)
    if r < 2:
        return Estimate(math.nan, None, "one replication: no variance")
    value = total(squares) / (r - 1)
    if r < 3:
        return Estimate(value, None, "two replications: no standard error of the variance")
    # Leaving row i out lowers the sum of squares by r/(r-1) ||x_i - mean||^2.
    left_out = (total(squares) - squares * r / (r - 1)) / (r - 2)
    spread = total((left_out - left_out.mean()) ** 2)
    return Estimate(value, math.sqrt((r - 1) / r * spread))


def tail_index(values: ArrayLike, k: int) -> Estimate | None:
    """Hill's estimate of alpha in P(X > x) ~ x^-alpha from the k largest values, with its error alpha / sqrt(k).

    At 2 or less the law has no finite variance. None if those values are not all positive, or all the same.
    """
    top = np.sort(np.asarray(values, dtype=float))[-k - 1 :]
    if top[0] <= 0 or top[0] == top[-1]:
        return None
    alpha = 1 / float(np.mean(np.log(top[1:] / top[0])))
    return Estimate(alpha, alpha / math.sqrt(k))
