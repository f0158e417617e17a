"""Functions of a mean, estimated from its independent unbiased blocks: plug-in, jackknife, leave-one-out.

g is smooth but not linear (the DPO loss, an importance ratio), so g of an unbiased estimate is biased: about g'' V/2.
Blocks are timesteps of an iid design, or independent groups of any design; x_1, ..., x_m with mean x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.numerics import total

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

ESTIMATORS = ("plug-in", "jackknife", "leave-one-out")


def value(estimator: str, g: Function, blocks: ArrayLike) -> float:
    """Estimate of g(E x_1).

    Parameters
    ----------
    estimator : {"plug-in", "jackknife", "leave-one-out"}
        g(x); m g(x) - (m - 1) mean_i g(x without x_i), whose bias is of order 1/m^2; mean_i g(x without x_i), the
        value whose bias is that of m - 1 blocks.
    g : vectorised function
    blocks : (m,) float

    Raises
    ------
    ValueError
        If one block must do for an estimator that leaves one out.

    Examples
    --------
    The square of a mean of 2 from the blocks 1 and 3: the jackknife takes off the bias, V/m = 1.

    >>> value("plug-in", np.square, [1.0, 3.0]), value("jackknife", np.square, [1.0, 3.0])
    (4.0, 3.0)
    """
    x = np.asarray(blocks, dtype=float)
    if estimator == "plug-in":
        return float(g(np.array([total(x) / len(x)]))[0])
    left = total(g(left_out(x, estimator))) / len(x)
    return left if estimator == "leave-one-out" else len(x) * value("plug-in", g, x) - (len(x) - 1) * left


def slopes(estimator: str, derivative: Function, blocks: ArrayLike) -> Array:
    """c_k, (m,), such that mean_k c_k grad x_k estimates grad g(E x_1).

    "plug-in" and "jackknife" differentiate `value`. "leave-one-out" is c_k = g'(x without x_k): the gradient of x_k
    meets a factor that is independent of it, so the covariance of the two is gone from the bias (ours).

    Raises
    ------
    ValueError
        As `value`.
    """
    x = np.asarray(blocks, dtype=float)
    plug_in = derivative(np.full(len(x), total(x) / len(x)))
    if estimator == "plug-in":
        return plug_in
    left = derivative(left_out(x, estimator))
    return left if estimator == "leave-one-out" else len(x) * plug_in - (left.sum() - left)


def left_out(blocks: Array, estimator: str = "leave-one-out") -> Array:
    """Mean of the other blocks, for each block, (m,)."""
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; choose from: {', '.join(ESTIMATORS)}")
    m = len(blocks)
    if m < 2:
        raise ValueError(
            f"{estimator} needs two independent blocks, got {m}: take n_t of at least 2 iid timesteps, or independent "
            "groups where draws or weights join timesteps"
        )
    return (total(blocks) - blocks) / (m - 1)


def poisson_ratio(differences: Sequence[float], rate: float, centre: float) -> float:
    """Unbiased estimate of exp(E x), the importance ratio, from a Poisson number of terms (ours).

    exp(rate + centre) prod_k (x_k - centre)/rate, where the number of terms was drawn from Poisson(rate) beforehand and
    the x_k are independent and unbiased. Best centred ``rate`` below E x, where its relative variance is
    exp(V x/rate) - 1 (`vrpo_theory.statements.ratio.poisson_relative_variance`); negative values are possible.
    """
    product = math.prod((x - centre) / rate for x in differences)
    return math.exp(rate + centre) * product
