"""Whether recomputed cells are the stored ones, to the rounding of the models that they are of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vrpo_theory import rounding
from vrpo_theory.reproduce.base import Cases
from vrpo_theory.types import ROLES, Case

ENGINE = 1e-6
"""Relative, of what is computed in float64: a minimum found to 1e-12 is placed to the root of that."""
ZERO = 1e-9
"""Absolute: what is zero but for float64's rounding, and what the engines' laws and integrals leave."""
COARSEST = 0.1
"""Relative: half precision on other kernels may differ by more, but a comparison that allows more sees nothing."""


def differences(stored: Sequence[Mapping[str, Any]], fresh: Sequence[Mapping[str, Any]], cases: Cases) -> Iterator[str]:
    """Where two lists of cells differ by more than rounding can make of it, on any machine.

    A field that a stored cell lacks, since its file is older than the field, is not compared.

    Parameters
    ----------
    stored, fresh : sequence of cell documents
    cases : mapping of str to sequence of Case
        The cases behind the cells, by the model's name in their columns.
    """
    if len(stored) != len(fresh):
        yield f"{len(stored)} cells stored, {len(fresh)} recomputed"
        return
    tolerance = {label: _tolerance(group) for label, group in cases.items()}
    for old, new in zip(stored, fresh, strict=True):
        allowed = tolerance.get(new["column"].get("model"), ENGINE)
        for name in sorted(old):
            if not _same(old.get(name), new.get(name), allowed):
                yield f"{new['row']} {new['column']} {name}: stored {old.get(name)}, recomputed {new.get(name)}"


def _tolerance(cases: Sequence[Case]) -> float:
    """Relative, of numbers that are computed from these cases."""
    models = [(c.model(role), c.pair) for c in cases for role in ROLES]
    of_models = [
        rounding.of_functional(model, len(pair.chosen.prompt) + max(pair.chosen.length, pair.rejected.length))
        for model, pair in models
        if hasattr(model, "dtype")  # a record alone repeats itself
    ]
    return max(ENGINE, min(COARSEST, max(of_models, default=0.0)))


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=ZERO)
    return a == b
