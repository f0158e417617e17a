"""Instances of the statements' domains: finite laws with stated moments.

Left sides read the atoms; right sides read the stated moments. An instance that breaks an assumption states a moment
that its atoms do not have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.numerics import total

Array = NDArray[np.float64]


def expect(prob: Array, value: ArrayLike) -> float:
    """Expectation under finitely many atoms."""
    return total(prob * np.asarray(value, dtype=float))


def spread(prob: Array, value: Array) -> float:
    """Variance of atoms (Q,), or trace of the covariance of vector atoms (Q, D)."""
    rows = value.reshape(len(value), -1)
    return expect(prob, ((rows - prob @ rows) ** 2).sum(1))


@dataclass(frozen=True, eq=False)
class StatedLaw:
    """Finite law of the score estimate s_hat, with its stated moments.

    Parameters
    ----------
    prob, value : (Q,) float
    mean, variance, kurtosis : float
        mu = s (the true score), V = V s_hat, and E (s_hat - mu)^4 / V^2.
    lower, upper : float
        Stated range.
    """

    prob: Array
    value: Array
    mean: float
    variance: float
    kurtosis: float
    lower: float
    upper: float


def score_law(prob: ArrayLike, value: ArrayLike, **stated: float) -> StatedLaw:
    """A finite law that states its true moments, but for those given."""
    p, x = np.asarray(prob, dtype=float), np.asarray(value, dtype=float)
    mean = expect(p, x)
    variance = expect(p, (x - mean) ** 2)
    kurtosis = expect(p, (x - mean) ** 4) / variance**2 if variance else 1.0
    true = {"mean": mean, "variance": variance, "kurtosis": kurtosis, "lower": x.min(), "upper": x.max()}
    return StatedLaw(p, x, **{name: float(v) for name, v in (true | stated).items()})


def two_point(low: float, high: float, prob_low: float = 0.5, **stated: float) -> StatedLaw:
    """The law with two atoms."""
    return score_law([prob_low, 1 - prob_low], [low, high], **stated)


def gaussian(mean: float, variance: float, nodes: int = 64) -> StatedLaw:
    """Gauss-Hermite atoms of a normal law: exact for polynomials of degree below 2 nodes."""
    x, weight = np.polynomial.hermite_e.hermegauss(nodes)
    return score_law(weight / weight.sum(), mean + np.sqrt(variance) * x)


@dataclass(frozen=True, eq=False)
class GradientLaw:
    """Finite joint law of s_hat and its gradient G, with stated moments.

    Parameters
    ----------
    prob, value : (Q,) float
    gradient : (Q, D) float
    mean, variance : float
        mu and V of s_hat.
    mean_gradient : (D,) float
        E G, the gradient of mu.
    gradient_variance : float
        tr V G.
    bound : float
        C with ||G|| <= C (C~ in the paper's Theorem 4).
    prob_slope : (Q, D) float
        Derivative of the probabilities in the parameters: zero, as masks are drawn without looking at the policy.
    """

    prob: Array
    value: Array
    gradient: Array
    mean: float
    variance: float
    mean_gradient: Array
    gradient_variance: float
    bound: float
    prob_slope: Array


def gradient_law(
    prob: ArrayLike, value: ArrayLike, gradient: ArrayLike, prob_slope: ArrayLike | None = None, **stated: float
) -> GradientLaw:
    """A finite law that states its true moments, but for those given; ``gradient`` may be (Q,) or (Q, D)."""
    p, x = np.asarray(prob, dtype=float), np.asarray(value, dtype=float)
    g = np.asarray(gradient, dtype=float).reshape(len(p), -1)
    slope = np.zeros_like(g) if prob_slope is None else np.asarray(prob_slope, dtype=float).reshape(g.shape)
    true = {
        "mean": expect(p, x),
        "variance": spread(p, x),
        "gradient_variance": spread(p, g),
        "bound": float(np.linalg.norm(g, axis=1).max()),
    }
    return GradientLaw(p, x, g, mean_gradient=p @ g, prob_slope=slope, **(true | stated))


@dataclass(frozen=True, eq=False)
class StatedTable:
    """Token terms of one response under every mask.

    Parameters
    ----------
    terms : (2**L, L) float
        Row m masks token i where bit i (value 2**i) of m is set; log p(y_i | visible) there, 0 elsewhere; or one
        coordinate of its gradient.
    time_slope : float
        Change of every masked term per unit of t; nonzero for a model that reads t (l/L in the count form).
    """

    terms: Array
    time_slope: float = 0.0

    @property
    def length(self) -> int:
        """L."""
        return int(self.terms.shape[1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Masked tokens of every mask, (2**L,)."""
        return np.array([m.bit_count() for m in range(len(self.terms))])

    @property
    def sums(self) -> Array:
        """Masked sum S of every mask, (2**L,)."""
        found: Array = self.terms.sum(1)
        return found


def masked(terms: Array) -> Array:
    """Terms with the visible tokens' set to 0, as `StatedTable` wants them."""
    count, length = terms.shape
    return terms * (np.arange(count)[:, None] >> np.arange(length) & 1)


def independent_tokens(term: ArrayLike) -> StatedTable:
    """The table whose token terms do not depend on the other masks."""
    a = np.asarray(term, dtype=float)
    return StatedTable(masked(np.tile(a, (2 ** len(a), 1))))
