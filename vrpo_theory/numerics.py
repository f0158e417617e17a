"""Numerics that every layer may use: log-sigmoid, sums in float64, means and variances with errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.types import Estimate

ORDER = 16
"""Nodes of each panel of composite rules."""


def log_sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    """log sigmoid(x) without overflow."""
    found: NDArray[np.float64] = -np.logaddexp(0.0, -np.asarray(x, dtype=float))
    return found


def sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)) without overflow.

    >>> sigmoid([0.0, -1000.0])
    array([0.5, 0. ])
    """
    return np.exp(log_sigmoid(x))


def total(values: ArrayLike) -> float:
    """Correctly rounded sum: independent of order, and so of batch size.

    >>> total([1e16, 1.0, -1e16])
    1.0
    """
    return math.fsum(np.asarray(values, dtype=float).ravel())


def sample_variance(values: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Unbiased variance along an axis; exactly 0 where all values are the same, whatever their mean rounds to."""
    x = np.asarray(values, dtype=float)
    return np.where(np.ptp(x, axis) == 0, 0.0, x.var(axis, ddof=1))


def mean_estimate(values: ArrayLike) -> Estimate:
    """Mean of iid values with its standard error (None for one value)."""
    return sum_of_means([np.asarray(values, dtype=float)])


def share_estimate(right: Sequence[bool]) -> Estimate:
    """Share of what is true, with its binomial standard error."""
    share = sum(right) / len(right)
    return Estimate(share, math.sqrt(share * (1 - share) / len(right)))


def sum_of_means(parts: Sequence[NDArray[np.float64]]) -> Estimate:
    """Sum of the means of independent samples, its error and degrees of freedom from the variance within each."""
    value = total([total(x) / x.size for x in parts])
    if any(x.size < 2 for x in parts):
        return Estimate(value, None, "one replication: no standard error")
    squares = [float(sample_variance(x)) / x.size for x in parts]
    return Estimate(value, math.sqrt(total(squares)), df=pooled_df(squares, [x.size - 1 for x in parts]))


def pooled_df(squares: ArrayLike, dfs: ArrayLike) -> float:
    """Degrees of freedom of a sum of independent squared errors (Welch 1947, Satterthwaite 1946)."""
    s, df = np.asarray(squares, dtype=float), np.asarray(dfs, dtype=float)
    if not s.any():
        return float(df.sum())
    share = s / s.max()
    return float(share.sum() ** 2 / (share**2 / df).sum())


def jackknife(value: float, left_out: ArrayLike) -> Estimate:
    """An estimate with its jackknife error.

    Parameters
    ----------
    left_out : (G, T) float
        The value with each draw left out, G independent groups of T draws each.
    """
    x = np.asarray(left_out, dtype=float)
    steps = x.shape[1]
    squares = (steps - 1) ** 2 / steps * sample_variance(x)
    return Estimate(value, math.sqrt(total(squares)), df=pooled_df(squares, np.full(len(x), steps - 1)), left_out=x)


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
    return variance_from_squares(((x - x.mean(0)) ** 2 * (np.ptp(x, 0) > 0)).sum(1))


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
    # Replications of different settings are independent: what each one adds is of no use to another estimate.
    return replace(jackknife(value, left_out[None]), left_out=None)


def tail_index(values: ArrayLike, k: int) -> Estimate | None:
    """Hill's estimate of alpha in P(X > x) ~ x^-alpha from the k largest values, with its error alpha / sqrt(k).

    At 2 or less the law has no finite variance. None if those values are not all positive, or all the same.
    """
    top = np.sort(np.asarray(values, dtype=float))[-k - 1 :]
    if top[0] <= 0 or top[0] == top[-1]:
        return None
    alpha = 1 / float(np.mean(np.log(top[1:] / top[0])))
    return Estimate(alpha, alpha / math.sqrt(k))


def gauss_legendre(low: float, high: float, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(weights of the uniform law on [low, high], nodes); exact for polynomials of degree below 2 nodes."""
    x, weight = np.polynomial.legendre.leggauss(nodes)
    return weight / 2, low + (high - low) * (1 + x) / 2


def gauss_log(low: float, high: float, panels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(weights of dt, nodes t) on [low, high]: Gauss-Legendre in log t by panels, for integrands that grow like 1/t."""
    edges = np.linspace(math.log(low), math.log(high), panels + 1)
    weight, node = gauss_legendre(0.0, 1.0, ORDER)
    width = np.diff(edges)[:, None]
    t = np.exp(edges[:-1, None] + width * node).ravel()
    return (width * weight).ravel() * t, t
