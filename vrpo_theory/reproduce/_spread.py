"""How a row's values spread over pairs: quartiles, and how heavy the upper tail is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vrpo_theory.reproduce.base import Cell
from vrpo_theory.types import Estimate

QUARTILES = {"quartile1": 0.25, "median": 0.5, "quartile3": 0.75}
ENOUGH = 16
"""Fewest pairs whose tail index is worth a number: Hill's estimator then sees four values."""
NOTE = "over pairs; tail_index: Hill's, of the largest sqrt(pairs); at 2 or less the mean has no standard error"


def spread(row: str, estimates: Sequence[Estimate], **about: Any) -> Iterator[Cell]:
    """Quartiles over pairs and, of `ENOUGH` pairs, the tail index of a row's values; one pair has none."""
    values = np.array([e.value for e in estimates])
    if len(values) < 2:
        return
    about |= {"note": NOTE, "n_pairs": len(values)}
    for name, share in QUARTILES.items():
        yield Cell(f"{row}_{name}", value=float(np.quantile(values, share)), **about)
    if len(values) >= ENOUGH:
        index, stderr = tail_index(values)
        yield Cell(f"{row}_tail_index", value=index, stderr=stderr, **about | {"unit": ""})


def tail_index(values: Any) -> tuple[float | None, float | None]:
    """Hill's estimate of alpha in P(X > x) ~ x^-alpha, and its standard error alpha / sqrt(k).

    Hill (1975), with the k = floor(sqrt(n)) largest of n values; (None, None) if those are not all positive and apart.
    """
    k = math.isqrt(len(values))
    top = np.sort(np.asarray(values, float))[-k - 1 :]
    if top[0] <= 0 or top[0] == top[-1]:
        return None, None
    alpha = 1 / float(np.mean(np.log(top[1:] / top[0])))
    return alpha, alpha / math.sqrt(k)
