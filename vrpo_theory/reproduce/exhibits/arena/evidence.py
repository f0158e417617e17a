"""Two-sided evidence on enumerable pairs: an upper bound of the likelihood beside the ELBO, and what margins say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vrpo_theory.exact.enumeration import MaskTable, table_of
from vrpo_theory.numerics import total
from vrpo_theory.reproduce.exhibits.arena.tabled import SIGNS, upper_bound
from vrpo_theory.types import Case


class Bracket(NamedTuple):
    """A pair's margin in nats: from ELBOs, from exact likelihoods, and bounds of the latter."""

    elbo: float
    exact: float
    low: float
    high: float

    @property
    def wrong_sign(self) -> bool:
        """Whether the ELBOs prefer the other response than the likelihoods do."""
        return self.elbo * self.exact < 0

    @property
    def holds(self) -> bool:
        """Whether the bounds hold the exact margin, but for rounding."""
        room = 1e-9 * (abs(self.low) + abs(self.high))
        return self.low - room <= self.exact <= self.high + room

    @property
    def decides(self) -> bool:
        """Whether the bounds are on one side of 0."""
        return self.low * self.high > 0


def bracket(case: Case, power: float | None = None) -> Bracket:
    """Bounds of a tabulated pair's margin: ELBO below each likelihood, `upper_bound` at ``power`` above it.

    Parameters
    ----------
    power : float, optional
        L by default, at which the upper bound is proved.
    """
    tables = {key: table_of(case, *key) for key in SIGNS}
    below = {key: table.elbo for key, table in tables.items()}
    above = {key: upper_bound(table, power or table.response.length) for key, table in tables.items()}
    low = total([sign * (below if sign > 0 else above)[key] for key, sign in SIGNS.items()])
    high = total([sign * (above if sign > 0 else below)[key] for key, sign in SIGNS.items()])
    exact = total([sign * tables[key].log_likelihood for key, sign in SIGNS.items()])
    return Bracket(total([sign * below[key] for key, sign in SIGNS.items()]), exact, low, high)


def gap(tables: Sequence[MaskTable], power: float | None = None) -> float:
    """Mean of upper bound minus log-likelihood, in nats; below 0 where the bound is none."""
    return float(np.mean([upper_bound(t, power or t.response.length) - t.log_likelihood for t in tables]))
