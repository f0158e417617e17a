"""Lemma 4: mean absolute deviation from below, by the kurtosis."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.instances import StatedLaw, expect, two_point
from vrpo_theory.statements.base import PAPER, state

PRINTED = math.sqrt(0.2) * 0.8**2
"""The paper's c, about 0.2862."""


def deviation_bound(variance: ArrayLike, kurtosis: ArrayLike) -> NDArray[np.float64]:
    """sqrt(V/kappa4) <= E|X - EX| (ours; sharp at every kurtosis)."""
    return np.sqrt(np.asarray(variance, dtype=float) / kurtosis)


def printed_deviation_bound(variance: ArrayLike, kurtosis: ArrayLike) -> NDArray[np.float64]:
    """(c/kappa4) sqrt(V) <= E|X - EX| (2505.19223v2, Lemma 4)."""
    return PRINTED / np.asarray(kurtosis, dtype=float) * np.sqrt(variance)


def _understated() -> StatedLaw:
    return two_point(0.0, 1.0, 0.001, kurtosis=1.0)


def _deviation(x: StatedLaw) -> float:
    return expect(x.prob, np.abs(x.value - x.prob @ x.value))


@state(
    "lemma4", PAPER + "Lemma 4", r"\frac{c}{\kappa_4}\sqrt{V} \le \mathbb{E}|X - \mathbb{E}X|", "<=", "score law",
    verdict="true with a better constant", assumptions=("kappa4 is the kurtosis of X",),
    violated_by=_understated, sharp="lemma4_sharp",
    constant=math.sqrt(0.2) * 0.8**2,
)  # fmt: skip
def printed(x: StatedLaw) -> tuple[float, float]:
    """Follows from `sharp`, as c < 1 and kappa4 >= 1. The printed route is Paley-Zygmund at a fixed threshold."""
    return float(printed_deviation_bound(x.variance, x.kurtosis)), _deviation(x)


@state(
    "lemma4_sharp", "ours", r"\sqrt{V/\kappa_4} \le \mathbb{E}|X - \mathbb{E}X|", "<=", "score law", form="sharp",
    assumptions=("kappa4 is the kurtosis of X",), witness=lambda: two_point(-1.0, 1.0), violated_by=_understated,
    constant=1.0,
)  # fmt: skip
def sharp(x: StatedLaw) -> tuple[float, float]:
    """Hoelder with exponents 3/2 and 3 on Y^2 = |Y|^(2/3) |Y|^(4/3): V <= (E|Y|)^(2/3) (E Y^4)^(1/3).

    With E Y^4 = kappa4 V^2 this is V/kappa4 <= (E|Y|)^2. Equality when |Y| takes one value besides 0: the law with
    atoms -1, 0, 1 of probability p/2, 1 - p, p/2 has kurtosis 1/p and attains it at every kappa4.
    """
    return float(deviation_bound(x.variance, x.kurtosis)), _deviation(x)
