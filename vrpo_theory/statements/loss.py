"""Formulas for the plug-in loss -log sigmoid(s_hat): bounds of its bias, error and variance, all vectorised.

Notation here and in the statements: f = log sigmoid; X = s_hat with mean mu (the true score) and variance V;
q = f'(mu) = sigmoid(-mu). The bias is E loss_hat - loss; the paper gives that name to E|loss_hat - loss|, which is
the mean absolute error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import StatedLaw, expect
from vrpo_theory.numerics import log_sigmoid, sigmoid

Array = NDArray[np.float64]


def mean_absolute_error_bound(variance: ArrayLike) -> Array:
    """sqrt(V) >= E|loss_hat - loss|, in nats (2505.19223v2, Lemma 3 (16) and Theorem 1)."""
    return np.sqrt(variance)


def printed_variance_bound(variance: ArrayLike) -> Array:
    """4 V >= V loss_hat, in nats squared (2505.19223v2, Lemma 3 (17) and Theorem 1)."""
    return 4 * np.asarray(variance, dtype=float)


def variance_bound(variance: ArrayLike) -> Array:
    """V >= E(loss_hat - loss)^2 >= V loss_hat, in nats squared (ours; the constant 1 is best possible at every mu)."""
    return np.asarray(variance, dtype=float)


def bounded_variance_bound(lower: ArrayLike, variance: ArrayLike) -> Array:
    """sigmoid(-a)^2 V >= V loss_hat where s_hat >= a (ours)."""
    found: Array = sigmoid(-np.asarray(lower, dtype=float)) ** 2 * np.asarray(variance, dtype=float)
    return found


def bias_bound(mean: ArrayLike, variance: ArrayLike) -> Array:
    """Largest E loss_hat - loss among laws of s_hat with this mean and variance, in nats (ours).

    log[cosh(sqrt(mu^2 + V)/2) / cosh(mu/2)], written so that neither large scores nor small variances lose digits.
    """
    size, v = np.abs(np.asarray(mean, dtype=float)), np.asarray(variance, dtype=float)
    root = np.sqrt(size**2 + v)
    rise = v / np.maximum(root + size, np.finfo(float).tiny)  # sqrt(mu^2 + V) - |mu|
    found: Array = rise / 2 + np.log1p(np.expm1(-rise) * sigmoid(-size))
    return found


def uniform_bias_bound(variance: ArrayLike) -> Array:
    """log cosh(sqrt(V)/2): the largest bias over all means, that of mu = 0, in nats (ours)."""
    root = np.sqrt(variance)
    found: Array = np.logaddexp(root / 2, -root / 2) - np.log(2)
    return found


def simple_bias_bound(variance: ArrayLike) -> Array:
    """min(V/8, sqrt(V)/2) >= `uniform_bias_bound`: tight for small and for large V, in nats (ours)."""
    v = np.asarray(variance, dtype=float)
    found: Array = np.minimum(v / 8, np.sqrt(v) / 2)
    return found


def local_bias(mean: ArrayLike, variance: ArrayLike) -> Array:
    """q (1 - q) V/2: the bias to second order, in nats (ours)."""
    mu = np.asarray(mean, dtype=float)
    found: Array = sigmoid(mu) * sigmoid(-mu) * np.asarray(variance, dtype=float) / 2
    return found


def local_deviation(mean: ArrayLike, variance: ArrayLike) -> Array:
    """q sqrt(V): standard deviation of the loss to first order, in nats (2505.19223v2, Theorems 2 and 3)."""
    return sigmoid(-np.asarray(mean, dtype=float)) * np.sqrt(variance)


def _error(x: StatedLaw) -> Array:
    return log_sigmoid(x.mean) - log_sigmoid(x.value)


def bias(x: StatedLaw) -> float:
    """E loss_hat - loss of a finite law, by definition."""
    return expect(x.prob, _error(x))


def mean_absolute_error(x: StatedLaw) -> float:
    """E|loss_hat - loss| of a finite law, by definition."""
    return expect(x.prob, np.abs(_error(x)))


def mean_square_error(x: StatedLaw) -> float:
    """E(loss_hat - loss)^2 of a finite law, by definition."""
    return expect(x.prob, _error(x) ** 2)


def loss_variance(x: StatedLaw) -> float:
    """V loss_hat of a finite law, as half the mean square difference of two independent draws."""
    image = log_sigmoid(x.value)
    return expect(np.outer(x.prob, x.prob), np.subtract.outer(image, image) ** 2) / 2
