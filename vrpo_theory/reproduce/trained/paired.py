"""When two arms differ: rules and power, fixed before any run.

Arms are compared on the same prompts and, seed by seed, from the same start on the same pairs in the same order. The
standard error of a difference speaks of other seeds and of other prompts: it is what a bootstrap over seeds and one
over prompts give together, which of a mean is known without drawing, and errs on the safe side (Owen 2007, "The
pigeonhole bootstrap"). Student's t, with Satterthwaite's degrees of freedom, turns it into intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import pooled_df, sample_variance, total
from vrpo_theory.reproduce.summary import joined
from vrpo_theory.types import Estimate

LEVEL, POWER = 0.05, 0.8
MARGIN = 0.02
"""Differences of accuracy below this are called none, where both one-sided tests say so (TOST)."""


@dataclass(frozen=True)
class Verdict:
    """What a difference says of the paper's claim about its sign.

    Parameters
    ----------
    word : {"order holds", "order fails", "differs", "agrees", "inconclusive"}
    interval : (float, float)
        95%, two-sided.
    note : str
    """

    word: str
    interval: tuple[float, float]
    note: str


def difference(ours: NDArray[np.floating | np.bool_], theirs: NDArray[np.floating | np.bool_]) -> Estimate:
    """Mean of ours - theirs, each (seeds, prompts), paired by both.

    A single seed is compared prompt by prompt, as McNemar's test does: nothing is known then of other seeds.
    """
    return accuracy(ours.astype(float) - theirs)


def accuracy(right: NDArray[np.floating | np.bool_]) -> Estimate:
    """Share of right answers, (seeds, prompts), with the error of other seeds and prompts."""
    means = [x for x in (right.mean(1), right.mean(0)) if len(x) > 1]
    squares = [float(sample_variance(x)) / len(x) for x in means]
    alone = "" if len(right) > 1 else "one seed: of other prompts alone"
    return Estimate(
        float(right.mean()), math.sqrt(total(squares)), alone, df=pooled_df(squares, [len(x) - 1 for x in means])
    )


def reach(estimate: Estimate, tail: float) -> float:
    """How far an interval reaches that leaves out this tail at each end."""
    from scipy.stats import norm, t

    width = norm.isf(tail) if estimate.df is None else t.isf(tail, estimate.df)
    return float(width) * (estimate.stderr or 0.0)


def detectable(estimate: Estimate) -> float:
    """The difference that would be seen with a probability of 80%."""
    return reach(estimate, LEVEL / 2) + reach(estimate, 1 - POWER)


def interval(estimate: Estimate) -> tuple[float, float]:
    """95%, two-sided."""
    half = reach(estimate, LEVEL / 2)
    return estimate.value - half, estimate.value + half


def judged(estimate: Estimate, sign: int | None, margin: float = MARGIN) -> Verdict:
    """What a difference says of a claim about its sign.

    Parameters
    ----------
    sign : {-1, 0, 1}, optional
        Of the paper's difference, 0 if it has none; without a claim the verdict says whether there is a difference.
    margin : float
        A difference whose 90% interval lies within it, to both sides, is none (TOST).
    """
    low, high = interval(estimate)
    found = 1 if low > 0 else -1 if high < 0 else 0
    none = abs(estimate.value) + reach(estimate, LEVEL) < margin
    note = joined(f"no difference of {margin} (TOST)" * none, f"seen with 80% from {detectable(estimate):.2g} on")
    return Verdict(_word(found, none, sign), (low, high), note)


def _word(found: int, none: bool, sign: int | None) -> str:
    if not found and not none:
        return "inconclusive"
    if sign is None:
        return "differs" if found else "agrees"
    if sign == 0:
        return "order holds" if none else "order fails"
    return "order holds" if found == sign else "order fails"
