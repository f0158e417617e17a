"""Formulas for the gradient of the plug-in loss: bounds of its bias, error and variance, all vectorised.

G = grad s_hat with ||G|| <= C (the paper's C~ in Theorem 4); grad f(X) = f'(X) G with f'(x) = sigmoid(-x).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import GradientLaw, expect
from vrpo_theory.numerics import sigmoid, total

Array = NDArray[np.float64]

KAPPA = (5 * math.sqrt(5) - 11) / 2
"""kappa* = 0.0902, the best constant in front of C^2 V at coefficient 1 on tr V G."""

THIRD = 1 / (12 * math.sqrt(3))
"""max |f'''| / 2."""


def error_bound(bound: ArrayLike, variance: ArrayLike, gradient_variance: ArrayLike, slope: ArrayLike = 1.0) -> Array:
    """(C/4) sqrt(V) + slope sqrt(tr V G) >= E||grad f(X) - grad f(mu)||.

    slope = 1 is 2505.19223v2, Lemma 3 (18) and Theorem 4; slope = q = sigmoid(-mu) is ours.
    """
    c, q = np.asarray(bound, dtype=float), np.asarray(slope, dtype=float)
    found: Array = c / 4 * np.sqrt(variance) + q * np.sqrt(gradient_variance)
    return found


def variance_bound(bound: ArrayLike, variance: ArrayLike, gradient_variance: ArrayLike, kappa: float = KAPPA) -> Array:
    """kappa C^2 V + tr V G >= tr V[f'(X) G]; kappa = 1/8 is 2505.19223v2 (19), `KAPPA` is ours and best possible."""
    c, v, g = (np.asarray(x, dtype=float) for x in (bound, variance, gradient_variance))
    found: Array = kappa * c**2 * v + g
    return found


def bias_bound(variance: ArrayLike, gradient_variance: ArrayLike, mean_gradient_norm: ArrayLike) -> Array:
    """(1/4) sqrt(V tr V G) + ||EG|| V/(12 sqrt 3) >= ||E grad f(X) - grad f(mu)|| (ours)."""
    v, g, norm = (np.asarray(x, dtype=float) for x in (variance, gradient_variance, mean_gradient_norm))
    found: Array = np.sqrt(v * g) / 4 + norm * v * THIRD
    return found


def loss_gradient(x: GradientLaw) -> Array:
    """f'(X) G at every atom, (Q, D)."""
    return sigmoid(-x.value)[:, None] * x.gradient


def loss_gradient_variance(x: GradientLaw) -> float:
    """tr V[f'(X) G], as half the mean square distance of two independent draws."""
    rows = loss_gradient(x)
    return expect(np.outer(x.prob, x.prob), ((rows[:, None] - rows) ** 2).sum(-1)) / 2


def three_squares(x: GradientLaw) -> float:
    """What the printed proof of (19) puts in place of tr V[f'(X) G]: three squares without their cross terms.

    f'(X) G - E f'(X) G = A + B + c with A = (f'(X) - q) G, B = q (G - EG), c = q EG - E f'(X) G; then
    E||A + B + c||^2 is not E||A||^2 + E||B||^2 + ||c||^2.
    """
    slope, q = sigmoid(-x.value), float(sigmoid(-x.mean))
    a, b = (slope - q)[:, None] * x.gradient, q * (x.gradient - x.mean_gradient)
    c = q * x.mean_gradient - x.prob @ loss_gradient(x)
    return expect(x.prob, (a**2).sum(1) + (b**2).sum(1)) + total(c**2)
