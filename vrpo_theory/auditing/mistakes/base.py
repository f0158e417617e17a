"""What a mistake is: the levels of the masks that are drawn, with their weights, the tokens scored, and a factor.

Nearly every mistake changes one part of E[w S], S the sum over the masked tokens of a mask of l tokens:

* the law of l, or the weight w that belongs to it: `Levels` holds P(l) and P(l) E[w | l], which is all a mean needs,
  since uniform masks of l tokens have the mean sum of that l;
* the tokens that S sums;
* a factor on the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.auditing.toys import Toy
from vrpo_theory.numerics import total
from vrpo_theory.statements.time_form import nodes

Array = NDArray[np.float64]


class Levels(NamedTuple):
    """Which counts occur, and what they weigh; both (L + 1,), for l = 0..L.

    Parameters
    ----------
    law : (L + 1,)
        P(l).
    weighted : (L + 1,)
        P(l) E[weight | l].
    """

    law: Array
    weighted: Array


LevelsOf = Callable[[int, int, int], Levels]
"""(L, n, batch) to the levels."""


@dataclass(frozen=True, eq=False)
class Mistake:
    """A way to be biased.

    Parameters
    ----------
    name : str
    says : str
        What it is, with its parameter, in terms of the formula.
    mean : callable
        (toy, n, batch) to the mean of the estimate in nats; NaN where the toy does not tell.
    law : callable or None
        (L, n, batch) to the law of the counts, (L + 1,); None for uniform on 1..L. A row without a mask may be skipped
        by the estimator, so that only the law given l >= 1 is compared.
    random_weight : bool or None
        Whether masks of one count have different weights, as those from a time t do; None if that shows in no ratio of
        an estimate to the masked sum.
    """

    name: str
    says: str
    mean: Callable[[Toy, int, int], float]
    law: Callable[[int, int, int], Array] | None = None
    random_weight: bool | None = None


def mistake(name: str, says: str, levels: LevelsOf, *, scored: str = "masked", random_weight: bool = False) -> Mistake:
    """One of wrong levels, or of wrong tokens under the right ones."""

    def mean(toy: Toy, n: int, batch: int) -> float:
        return total(levels(toy.length, n, batch).weighted * toy.mean_sums(scored))

    law = lambda length, n, batch: levels(length, n, batch).law  # noqa: E731
    return Mistake(name, says, mean, law, random_weight if scored == "masked" else None)


def scaled(name: str, says: str, factor: Callable[[int, int], float]) -> Mistake:
    """The right estimate times a factor of (L, P), P the length of the prompt."""
    return Mistake(name, says, lambda toy, n, batch: factor(toy.length, len(toy.prompt)) * toy.elbo)


def from_counts(law: Array, weight: Array | float | None = None) -> Levels:
    """Levels of a law on 0..L, with weights of l; by default L/l."""
    count = np.arange(len(law))
    return Levels(law, law * ((len(law) - 1) / np.maximum(count, 1) if weight is None else weight))


def uniform(length: int, first: int, last: int) -> Array:
    """The law on 0..L that is uniform on first..last, and 0 where nothing lies between them."""
    count = np.arange(length + 1)
    inside = (count >= first) & (count <= last)
    return np.asarray(inside / max(inside.sum(), 1))


def at(length: int, *counts: int) -> Array:
    """The law on 0..L of one of these counts, each as likely."""
    return np.bincount(counts, minlength=length + 1) / len(counts)


def right(length: int, n: int, batch: int) -> Levels:
    """l ~ U{1..L}, weight L/l."""
    return from_counts(uniform(length, 1, length))


def from_times(length: int, t: Array, prob: Array, weight: Array) -> Levels:
    """Tokens masked independently with probability t; t has these atoms, or nodes of a quadrature."""
    chance = binomial(length, t)
    return Levels(prob @ chance, (prob * weight) @ chance)


def time_nodes(length: int, low: float = 0.0, high: float = 1.0) -> tuple[Array, Array]:
    """t and their probabilities for t ~ U[low, high]: exact for the polynomials that masks of L tokens make."""
    t, share = nodes(length + 1)
    return low + (high - low) * t, share


@cache
def _binomial(length: int, t: tuple[float, ...]) -> Array:
    from scipy.stats import binom

    return np.asarray(binom.pmf(np.arange(length + 1), length, np.array(t)[:, None]))


def binomial(length: int, t: Array) -> Array:
    """P(l | t), (T, L + 1)."""
    return _binomial(length, tuple(t.tolist()))
