"""Which seeds a spread comes from: one-way random effects, data seeds as groups, mask seeds within them.

The masks of different pairs have nothing in common, whatever their seed; so mask seeds are nested in data seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.reproduce.trained.paired import LEVEL
from vrpo_theory.types import Estimate

Interval = tuple[float, float]


def spread(values: NDArray[np.float64]) -> Iterator[tuple[str, Estimate, Interval | None, str]]:
    """Standard deviations by masks and by data, and the share of the variance that masks cause.

    Parameters
    ----------
    values : (data seeds, mask seeds) float

    Yields
    ------
    name, estimate, 95% interval or None, note
        The interval of the share is exact for normal effects (by the F law of the ratio of mean squares).
    """
    groups, within = values.shape
    masks = float(values.var(axis=1, ddof=1).mean())
    between = within * float(values.mean(1).var(ddof=1))
    data = max(0.0, (between - masks) / within)
    yield "sd of masks", Estimate(math.sqrt(masks)), None, f"over {within} mask seeds in each of {groups} data seeds"
    yield "sd of data", Estimate(math.sqrt(data)), None, "0 where data seeds differ no more than masks make them"
    whole = masks + data
    if not whole:
        yield "share of masks", Estimate(math.nan), None, "no seed moved any answer"
        return
    yield (
        "share of masks",
        Estimate(masks / whole),
        _interval(between / masks, groups, within),
        "of the seeds' variance",
    )


def _interval(ratio: float, groups: int, within: int) -> Interval:
    """Of masks' share, from the ratio of mean squares."""
    from scipy.stats import f

    law = f(groups - 1, groups * (within - 1))
    shares = [_share(ratio / float(law.ppf(tail)), within) for tail in (LEVEL / 2, 1 - LEVEL / 2)]
    return min(shares), max(shares)


def _share(scaled: float, within: int) -> float:
    """Masks' share where the mean squares have this ratio in truth: 1 + within data / masks."""
    return 1 / (1 + max(0.0, scaled - 1) / within)
