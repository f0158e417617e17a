"""How a row's values spread over pairs: quartiles, and how heavy the upper tail is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vrpo_theory.numerics import tail_index
from vrpo_theory.reproduce.base import Cell
from vrpo_theory.reproduce.summary import quantile
from vrpo_theory.types import Estimate

QUARTILES = {"quartile1": 0.25, "median": 0.5, "quartile3": 0.75}
ENOUGH = 16
"""Fewest pairs whose tail index is worth a number: Hill's estimator then sees four values."""
TAIL = "Hill's, of the largest sqrt(pairs); at 2 or less the mean has no standard error"


def spread(row: str, estimates: Sequence[Estimate], seed: int = 0, **about: Any) -> Iterator[Cell]:
    """Quartiles over pairs with errors and, of `ENOUGH` pairs, the tail index of a row's values; one pair has none."""
    values = np.array([e.value for e in estimates])
    if len(values) < 2:
        return
    about |= {"note": "over pairs; error by the bootstrap", "n_pairs": len(values)}
    for name, share in QUARTILES.items():
        found = quantile(values, share, seed)
        yield Cell(f"{row}_{name}", value=found.value, stderr=found.stderr, df=found.df, **about)
    if len(values) >= ENOUGH:
        index = tail_index(values, math.isqrt(len(values)))
        value, stderr = (index.value, index.stderr) if index else (None, None)
        yield Cell(f"{row}_tail_index", value=value, stderr=stderr, **about | {"unit": "", "note": TAIL})
