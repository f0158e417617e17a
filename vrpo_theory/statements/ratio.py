"""Section 3.3: the importance ratio exp(B_policy - B_old) of PPO and GRPO, which is not simpler than DPO.

X = D_hat estimates D = B_policy - B_old without bias, with variance V; the ratio is exp(D), its plug-in exp(D_hat).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import StatedLaw, expect, gaussian, score_law, two_point
from vrpo_theory.statements.base import PAPER, state

Array = NDArray[np.float64]
UNBIASED = "E D_hat = D"


def local_bias(variance: ArrayLike) -> Array:
    """V/2: relative bias of the plug-in ratio to second order (ours)."""
    return np.asarray(variance, dtype=float) / 2


def gaussian_factor(variance: ArrayLike) -> Array:
    """exp(V/2) = E exp(D_hat)/exp(D) for normal D_hat (ours)."""
    return np.exp(np.asarray(variance, dtype=float) / 2)


def bounded_factor(variance: ArrayLike, rise: ArrayLike) -> Array:
    """Largest E exp(D_hat)/exp(D) when D_hat - D <= b (Bennett): (V e^b + b^2 e^(-V/b))/(V + b^2), for b > 0."""
    v, b = np.asarray(variance, dtype=float), np.asarray(rise, dtype=float)
    found: Array = (v * np.exp(b) + b**2 * np.exp(-v / b)) / (v + b**2)
    return found


def poisson_relative_variance(variance: ArrayLike, rate: ArrayLike) -> Array:
    """exp(V/lambda) - 1: variance over squared mean of the Poisson estimator centred at D - lambda (ours).

    exp(lambda + c) prod_{k <= K} (D_k - c)/lambda, K ~ Poisson(lambda), has second moment
    exp(lambda + 2c + E(D_k - c)^2/lambda); at c = D - lambda, E(D_k - c)^2 = V + lambda^2.
    """
    found: Array = np.expm1(np.asarray(variance, dtype=float) / np.asarray(rate, dtype=float))
    return found


def jackknife(full: ArrayLike, left_out: ArrayLike, n: int) -> Array:
    """n E g(mean of n) - (n - 1) E g(mean of n - 1): expectation of the jackknife of a plug-in g (ours).

    Where the plug-in's expectation is g(mean) + a/n + c/n^2 + O(1/n^3), that of the jackknife is
    g(mean) - c/(n (n - 1)) + O(1/n^2): the bias of order 1/n is gone. It has such an expansion if g has six continuous
    derivatives, the sixth bounded, and the terms averaged have six moments: Taylor's formula at the mean, whose central
    moments of orders 2 to 6 are polynomials in 1/n, of order 1/n^3 at most from the fifth on. For exp, whose
    derivatives are unbounded, terms bounded above take their place.
    """
    found: Array = n * np.asarray(full, dtype=float) - (n - 1) * np.asarray(left_out, dtype=float)
    return found


def factor(x: StatedLaw) -> float:
    """E exp(D_hat)/exp(D) of a finite law, by definition."""
    return expect(x.prob, np.exp(x.value - x.mean))


def _tame(x: StatedLaw) -> StatedLaw:
    """The same law within five nats of its mean, where exponentials do not overflow."""
    width = float(np.abs(x.value - x.mean).max()) or 1.0
    return score_law(x.prob, (x.value - x.mean) * min(1.0, 5 / width))


@state(
    "section33_ratio", PAPER + "section 3.3, read as: a ratio behaves as the DPO loss does",
    r"\mathbb{E}|e^{\hat D - D} - 1| \le \sqrt{V}", "<=", "score law", verdict="false as printed",
    assumptions=(UNBIASED,), violated_by=lambda: gaussian(0.0, 2.0), sharp="ratio_bounded",
)  # fmt: skip
def like_the_loss(x: StatedLaw) -> tuple[float, float]:
    """Theorem 1 rests on log sigmoid being 1-Lipschitz; exp is convex and unbounded. At V = 2 a normal D_hat has
    relative bias e - 1 = 1.72 > sqrt(2)."""
    return expect(x.prob, np.abs(np.expm1(x.value - x.mean))), math.sqrt(x.variance)


@state(
    "ratio_inflated", "ours", r"e^D \le \mathbb{E} e^{\hat D}", "<=", "score law", form="sharp",
    assumptions=(UNBIASED,), restrict=_tame, witness=lambda: two_point(-0.01, 0.01),
    violated_by=lambda: two_point(-1.1, -0.9, mean=0.0),
)  # fmt: skip
def inflated(x: StatedLaw) -> tuple[float, float]:
    """Jensen: the plug-in ratio is biased upwards, always."""
    return 1.0, factor(x)


@state(
    "ratio_bounded", "ours (Bennett's lemma)",
    r"\mathbb{E} e^{\hat D - D} \le (V e^b + b^2 e^{-V/b})/(V + b^2)", "<=", "score law", form="sharp",
    assumptions=(UNBIASED, "D_hat - D <= b"), restrict=_tame, witness=lambda: two_point(-0.5, 2.0, 0.8),
    violated_by=lambda: two_point(-1.0, 1.0, upper=0.1),
)  # fmt: skip
def bounded(x: StatedLaw) -> tuple[float, float]:
    """Y = D_hat - D. The parabola p through exp at b that touches it at a = -V/b lies above exp on (-inf, b].

    It interpolates exp twice at a and once at b, so exp(y) - p(y) = e^xi (y - a)^2 (y - b)/6 for some xi between the
    least and the largest of y, a, b (Hermite's error term: the third divided difference); that is at most 0 for y <= b.
    Its expectation depends on V alone, and the law on {-V/b, b} with mean 0 and variance V attains it. As b grows the
    bound grows like V e^b/b^2: without a bound on D_hat there is none on the ratio.
    """
    return factor(x), float(bounded_factor(x.variance, x.upper - x.mean))


@state(
    "ratio_local", "ours", r"\mathbb{E} e^{\hat D - D} = 1 + V/2 + O(\sqrt{\kappa_4} V^{3/2} e^b)", "approx",
    "score law", form="sharp", assumptions=(UNBIASED, "D_hat - D <= b"), restrict=_tame,
    violated_by=lambda: two_point(-1.1, -0.9, mean=0.0),
)  # fmt: skip
def local(x: StatedLaw) -> tuple[float, float, float]:
    """Taylor: exp(y) = 1 + y + y^2/2 + R with |R| <= |y|^3 max(1, e^b)/6, and E|Y|^3 <= sqrt(kappa4) V^(3/2)."""
    remainder = max(1.0, math.exp(x.upper - x.mean)) * x.kurtosis**0.5 * x.variance**1.5 / 6
    return factor(x), 1 + float(local_bias(x.variance)), remainder


def poisson_terms(rate: float) -> tuple[Array, Array]:
    """Counts k and their Poisson(rate) probabilities, to rounding."""
    k = np.arange(float(int(rate + 12 * math.sqrt(rate) + 40)))
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, len(k))))])
    return k, np.exp(k * math.log(rate) - rate - log_factorial)


@state(
    "ratio_poisson", "ours", r"\mathbb{E}\, e^{\lambda + c} \prod_{k \le K} (D_k - c)/\lambda = e^D", "=", "score law",
    form="sharp", assumptions=(UNBIASED, "the D_k are independent, K ~ Poisson(lambda)"), restrict=_tame,
    violated_by=lambda: two_point(-1.1, -0.9, mean=0.0),
)  # fmt: skip
def poisson(x: StatedLaw) -> tuple[float, float]:
    """Given K the product has mean ((D - c)/lambda)^K, and E z^K = exp(lambda (z - 1)). Here lambda = 2, c = D - 2."""
    rate = 2.0
    centre = x.mean - rate
    k, prob = poisson_terms(rate)
    each = expect(x.prob, (x.value - centre) / rate)
    return math.exp(rate + centre) * expect(prob, each**k), math.exp(x.mean)
