"""Theorems 2 and 3: the first-order heuristics, and the bands within which they are theorems."""

from __future__ import annotations

import math

from vrpo_theory.instances import StatedLaw, gaussian, two_point
from vrpo_theory.numerics import sigmoid
from vrpo_theory.statements import loss
from vrpo_theory.statements.base import PAPER, state


def _far_off() -> StatedLaw:
    """A wide score with a confident mean: the first order is blind to the tail where the loss is steep."""
    return gaussian(3.0, 4.0)


@state(
    "theorem2", PAPER + "Theorem 2", r"\mathbb{E}|\hat\ell - \ell| = \Theta(f'(s) \sqrt{V})", "approx", "score law",
    verdict="heuristic", violated_by=lambda: gaussian(6.0, 9.0), sharp="theorem2_band",
)  # fmt: skip
def first_order_error(x: StatedLaw) -> tuple[float, float, float]:
    """To first order f(X) - f(mu) = q (X - mu). Read as |left - right| <= right: at most twice the right side.

    From below that says no more than that the left side is at least 0; `error_band` bounds it from below. The left side
    is the mean absolute error; the bias is Theta(V), see `bias.simple_bias`.
    """
    guess = float(loss.local_deviation(x.mean, x.variance))
    return loss.mean_absolute_error(x), guess, guess


@state(
    "theorem2_band", "ours", r"|\mathbb{E}|\hat\ell - \ell| - m| \le r", "approx", "score law", form="sharp",
    assumptions=("E s_hat = s, the true score",), violated_by=lambda: two_point(-3.0, -2.9, mean=0.0),
)  # fmt: skip
def error_band(x: StatedLaw) -> tuple[float, float, float]:
    """q sqrt(V/kappa4) - V/8 <= E|loss_hat - loss| <= q sqrt(V) + V/8.

    |f(X) - f(mu) - q (X - mu)| <= (X - mu)^2/8 by 1/4-smoothness, and sqrt(V/kappa4) <= E|X - mu| <= sqrt(V) by
    `kurtosis.sharp` and Jensen. So the error is Theta(q sqrt V) once sqrt(V) is small beside q/sqrt(kappa4).
    """
    high = float(sigmoid(-x.mean)) * math.sqrt(x.variance)
    low = high / math.sqrt(x.kurtosis)
    return loss.mean_absolute_error(x), (low + high) / 2, (high - low) / 2 + x.variance / 8


@state(
    "theorem3", PAPER + "Theorem 3", r"\mathbb{V} \hat\ell \approx f'(s)^2 V", "approx", "score law",
    verdict="heuristic", violated_by=_far_off, sharp="theorem3_band",
)  # fmt: skip
def first_order_variance(x: StatedLaw) -> tuple[float, float, float]:
    """The delta method, read as |left - right| <= right: at most twice it; from below, no more than at least 0.

    For a normal score, mu = 3, V = 4, it is 14 times off; `deviation_band` bounds it on both sides.
    """
    guess = float(loss.local_deviation(x.mean, x.variance)) ** 2
    return loss.loss_variance(x), guess, guess


@state(
    "theorem3_band", "ours", r"|\sqrt{\mathbb{V} \hat\ell} - q\sqrt{V}| \le \tfrac18 \sqrt{\kappa_4}\, V",
    "approx", "score law", form="sharp", assumptions=("mu, V and kappa4 are those of s_hat",),
    violated_by=lambda: two_point(-60.0, -40.0, variance=1.0),
)  # fmt: skip
def deviation_band(x: StatedLaw) -> tuple[float, float, float]:
    """f(X) = f(mu) + q (X - mu) + R with |R| <= (X - mu)^2/8; the standard deviation is a seminorm.

    So it moves by at most sd R <= sqrt(E R^2) <= sqrt(E(X - mu)^4)/8.
    """
    spread = math.sqrt(loss.loss_variance(x))
    return spread, float(loss.local_deviation(x.mean, x.variance)), x.kurtosis**0.5 * x.variance / 8
