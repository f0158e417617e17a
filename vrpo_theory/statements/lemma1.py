"""Lemma 1: log sigmoid is concave, 1-Lipschitz and 1/4-smooth. All three constants are sharp."""

from __future__ import annotations

import numpy as np

from vrpo_theory.instances import Array, StatedLaw, expect, two_point
from vrpo_theory.numerics import log_sigmoid, sigmoid
from vrpo_theory.statements.base import PAPER, state


def _steepest(value: Array, image: Array) -> float:
    """Largest slope between neighbouring atoms."""
    order = np.argsort(value)
    gap = np.diff(value[order])
    apart = gap > 1e-6 * (1 + np.abs(value[order][1:]))  # closer atoms show rounding, not slope
    return float(np.max(np.abs(np.diff(image[order]))[apart] / gap[apart], initial=0.0))


@state(
    "lemma1_concave", PAPER + "Lemma 1", r"\mathbb{E} f(X) \le f(\mathbb{E} X)", "<=", "score law",
    assumptions=("mu is the mean of X",),
    witness=lambda: two_point(-12.0, -8.0), violated_by=lambda: two_point(2.0, 3.0, mean=0.0),
)  # fmt: skip
def concave(x: StatedLaw) -> tuple[float, float]:
    """Concavity, as Jensen's inequality: f''(x) = -sigmoid(x) sigmoid(-x) < 0.

    Both sides are negative: where f is linear to rounding they are equal, so the witness sits far to the left.
    """
    return expect(x.prob, log_sigmoid(x.value)), float(log_sigmoid(x.mean))


@state(
    "lemma1_lipschitz", PAPER + "Lemma 1", r"|f(a) - f(b)| \le |a - b|", "<=", "score law",
    witness=lambda: two_point(-9.0, -8.0),
)  # fmt: skip
def lipschitz(x: StatedLaw) -> tuple[float, float]:
    """0 < f'(x) = sigmoid(-x) < 1; the slope tends to 1 at -infinity."""
    return _steepest(x.value, log_sigmoid(x.value)), 1.0


@state(
    "lemma1_smooth", PAPER + "Lemma 1", r"|f'(a) - f'(b)| \le \tfrac14 |a - b|", "<=", "score law",
    witness=lambda: two_point(-0.01, 0.01),
)  # fmt: skip
def smooth(x: StatedLaw) -> tuple[float, float]:
    """|f''(x)| = sigmoid(x) sigmoid(-x) <= 1/4, attained at 0."""
    return _steepest(x.value, sigmoid(-x.value)), 0.25
