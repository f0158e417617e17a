"""Whether recomputed cells are the stored ones, to the rounding of the models that they are of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

from vrpo_theory import rounding
from vrpo_theory.documents import Fields
from vrpo_theory.reproduce.base import Cases, Cells
from vrpo_theory.types import ROLES, Case, Model, PreferencePair

ENGINE = 1e-6
"""Relative, of what is computed in float64: a minimum found to 1e-12 is placed to the root of that."""
ZERO = 1e-9
"""Absolute: what is zero but for float64's rounding, and what the engines' laws and integrals leave."""
COARSEST = 0.1
"""Relative, and in nats: half precision on other kernels may differ by more, but allowing more would see nothing."""


class Tolerance(NamedTuple):
    """Of the numbers of some cases.

    Parameters
    ----------
    relative : float
    nats : float
        Of sums of log-probabilities, whose differences may be near 0; biases and variances are of second order in
        these, and only the relative one holds for them.
    """

    relative: float = ENGINE
    nats: float = ZERO

    def of(self, cell: Fields) -> tuple[float, float]:
        """Relative and absolute, of a cell's numbers."""
        return self.relative, self.nats if cell.get("unit") == "nats" and "bias" not in cell["row"] else ZERO


def differences(stored: Cells, fresh: Cells, cases: Cases) -> Iterator[str]:
    """Where two lists of cells differ by more than rounding can make of it, on any machine.

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
        allowed = tolerance.get(new["column"].get("model"), Tolerance()).of(new)
        for name in sorted(old.keys() | new.keys()):
            before, now = (cell.get(name, "no such field") for cell in (old, new))
            if not _same(before, now, allowed):
                yield f"{new['row']} {new['column']} {name}: stored {before}, recomputed {now}"


def _tolerance(cases: Sequence[Case]) -> Tolerance:
    """Of numbers that are computed from these cases; the coarsest of their models'."""
    found = [
        _of_model(cast(Model, case.model(role)), case.pair)
        for case in cases
        for role in ROLES
        if hasattr(case.model(role), "dtype")  # a record alone repeats itself
    ]
    relative, nats = (min(COARSEST, max(column)) for column in zip(Tolerance(), *found, strict=True))
    return Tolerance(relative, nats)


def _of_model(model: Model, pair: PreferencePair) -> Tolerance:
    tokens = max(pair.chosen.length, pair.rejected.length)
    length = len(pair.chosen.prompt) + tokens
    # A response's tokens, under policy and reference.
    return Tolerance(rounding.of_functional(model, length), rounding.of_sum(model, len(ROLES) * tokens, length))


def _same(a: object, b: object, allowed: tuple[float, float]) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y, allowed) for x, y in zip(a, b, strict=True))
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=allowed[0], abs_tol=allowed[1])
    return a == b
