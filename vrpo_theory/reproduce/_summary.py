"""From one value per pair to a cell's mean, median and bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.numerics import total
from vrpo_theory.types import Estimate

RESAMPLES = 2000


def over_pairs(estimates: Sequence[Estimate], seed: int) -> dict[str, Any]:
    """Cell fields of a mean over pairs; its error is Monte Carlo's alone, its interval the spread over pairs."""
    values = np.array([e.value for e in estimates])
    errors = [e.stderr for e in estimates if e.stderr is not None]
    stderr = math.hypot(*errors) / len(values) if errors else None  # exact values among them have none
    return {
        "value": total(values) / len(values),
        "stderr": stderr,
        "median": float(np.median(values)) if len(values) > 1 else None,
        "interval": _bootstrap((values,), lambda x, axis=-1: x.mean(axis), seed),
        "n_pairs": len(values),
    }


def ratio_of_means(above: Sequence[Estimate], below: Sequence[Estimate], seed: int) -> dict[str, Any]:
    """Cell fields of a ratio of two means over the same pairs; pairs are resampled together.

    A list over itself is 1 by definition and has no error.
    """
    x, y = (np.array([e.value for e in part]) for part in (above, below))
    top, bottom = over_pairs(above, seed), over_pairs(below, seed)
    value = top["value"] / bottom["value"]
    return {
        "value": value,
        "stderr": None if above is below else _ratio_error(value, top, bottom),
        "median": float(np.median(x / y)) if len(x) > 1 else None,
        "interval": _bootstrap((x, y), lambda a, b, axis=-1: a.mean(axis) / b.mean(axis), seed),
        "n_pairs": len(x),
    }


def geometric_mean(ratios: Sequence[Estimate], seed: int) -> dict[str, Any]:
    """Cell fields of the geometric mean of positive ratios, its error Monte Carlo's alone."""
    values = np.array([r.value for r in ratios])
    errors = [r.stderr / r.value for r in ratios if r.stderr is not None]
    mean = math.exp(total(np.log(values)) / len(values))
    interval = _bootstrap((np.log(values),), lambda x, axis=-1: np.exp(x.mean(axis)), seed)
    return {
        "value": mean,
        "stderr": mean * math.hypot(*errors) / len(values) if errors else None,
        "median": float(np.median(values)) if len(values) > 1 else None,
        "interval": interval,
        "n_pairs": len(values),
    }


def _ratio_error(value: float, top: dict[str, Any], bottom: dict[str, Any]) -> float | None:
    if top["stderr"] is None or bottom["stderr"] is None:
        return None
    return abs(value) * math.hypot(top["stderr"] / top["value"], bottom["stderr"] / bottom["value"])


def _bootstrap(samples: tuple[NDArray[np.float64], ...], statistic: Any, seed: int) -> tuple[float, float] | None:
    if len(samples[0]) < 2:
        return None
    from scipy.stats import bootstrap

    result = bootstrap(
        samples, statistic, n_resamples=RESAMPLES, paired=True, vectorized=True, method="percentile",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = result.confidence_interval
    return float(low), float(high)
