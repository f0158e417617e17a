"""From one value per pair to a cell's mean, median and bootstrap interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.documents import Document
from vrpo_theory.numerics import total
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import combined, ratio_of_sums

RESAMPLES = 2000
ONE_PAIR = "one pair: no median and no interval"
NO_INTERVAL = "some resamples of pairs have 0 below: no interval"

Array = NDArray[np.float64]
Statistic = Callable[..., Array]
"""Of one array per sample, along ``axis``."""


def joined(*notes: str) -> str:
    """One note of several; empty ones are nothing."""
    return "; ".join(filter(None, notes))


def over_pairs(estimates: Sequence[Estimate], seed: int, note: str = "") -> Document:
    """Cell fields of a mean over pairs; its error is Monte Carlo's alone, its interval the spread over pairs."""
    values = np.array([e.value for e in estimates])
    spread = _spread((values,), values, lambda x, axis=-1: x.mean(axis), seed)
    return _fields(mean_over_pairs(estimates), note, spread)


def mean_over_pairs(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of independent estimates; exact ones among them add no error."""
    mean = total([e.value for e in estimates]) / len(estimates)
    return combined(mean, [(e, 1 / len(estimates)) for e in estimates])


def ratio_of_means(above: Sequence[Estimate], below: Sequence[Estimate], seed: int, note: str = "") -> Document:
    """Cell fields of a ratio of two means over the same pairs; pairs are resampled together.

    Null, with a note, where the mean below is 0; the median is over the pairs that have a ratio of their own. A list
    over itself is 1 by definition and has no error.
    """
    x, y = (np.array([e.value for e in part]) for part in (above, below))
    ratio = ratio_of_sums(above, below)
    if above is below:
        ratio = replace(ratio, stderr=None, df=None)
    own = x[y != 0] / y[y != 0]
    lost = f"{len(y) - len(own)} of {len(y)} pairs have 0 below: no ratio of their own" if 0 < len(own) < len(y) else ""
    spread = _spread((x, y), own, lambda a, b, axis=-1: a.mean(axis) / b.mean(axis), seed)
    return _fields(ratio, joined(note, lost), spread)


def geometric_mean(ratios: Sequence[Estimate], seed: int, note: str = "") -> Document:
    """Cell fields of the geometric mean of ratios, its error Monte Carlo's alone; over those that are above 0."""
    found = [r for r in ratios if r.value > 0]
    lost = f"{len(ratios) - len(found)} of {len(ratios)} ratios are undefined or not above 0, and left out"
    note = joined(note, lost * (len(found) < len(ratios)))
    if not found:
        return {"value": None, "n_pairs": len(ratios), "note": note}
    logs = np.log([r.value for r in found])
    mean = math.exp(total(logs) / len(logs))
    spread = _spread((logs,), np.exp(logs), lambda x, axis=-1: np.exp(x.mean(axis)), seed)
    return _fields(combined(mean, [(r, mean / r.value / len(found)) for r in found]), note, spread)


def _fields(estimate: Estimate, note: str, spread: Document) -> Document:
    value = None if math.isnan(estimate.value) else estimate.value
    notes = joined(note, estimate.note, spread.pop("note"))
    return {"value": value, "stderr": estimate.stderr, "df": estimate.df, "note": notes, **spread}


def _spread(samples: tuple[Array, ...], own: Array, statistic: Statistic, seed: int) -> Document:
    """Median of the pairs' own values, bootstrap interval of the statistic, and why either is missing."""
    pairs = len(samples[0])
    if pairs < 2:
        return {"median": None, "interval": None, "n_pairs": pairs, "note": ONE_PAIR}
    interval = _bootstrap(samples, statistic, seed)
    return {
        "median": float(np.median(own)) if len(own) else None,
        "interval": interval,
        "n_pairs": pairs,
        "note": "" if interval or not len(own) else NO_INTERVAL,
    }


def _bootstrap(samples: tuple[Array, ...], statistic: Statistic, seed: int) -> tuple[float, float] | None:
    """Percentiles over resampled pairs; None if the statistic is undefined for some resamples."""
    low, high = _resampled(samples, statistic, seed).confidence_interval
    return (float(low), float(high)) if np.isfinite([low, high]).all() else None


def quantile(values: Array, share: float, seed: int) -> Estimate:
    """Of the values of two pairs or more, with its bootstrap error over pairs."""
    found = _resampled((values,), lambda x, axis=-1: np.quantile(x, share, axis), seed)
    return Estimate(float(np.quantile(values, share)), float(found.standard_error), df=len(values) - 1)


def _resampled(samples: tuple[Array, ...], statistic: Statistic, seed: int) -> Any:
    """SciPy's bootstrap of a statistic over pairs."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        return bootstrap(
            samples, statistic, n_resamples=RESAMPLES, paired=True, vectorized=True, method="percentile",
            rng=np.random.default_rng(seed),
        )  # fmt: skip
