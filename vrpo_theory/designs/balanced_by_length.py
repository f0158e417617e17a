"""Balanced masks in the order that suits the length: the design of this package's default."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs.balanced import Balanced
from vrpo_theory.designs.base import DESIGNS, Array, Design
from vrpo_theory.designs.fractional_strata import FractionalStrata


@dataclass(frozen=True)
class BalancedByLength(Balanced):
    """Balanced masks in ascending l on responses of at most 2 n tokens, in descending l on longer ones (ours).

    Either order is unbiased, see `balanced_descending`; it depends on n and L alone. On short responses every token is
    covered several times, and small masks that choose first are disjoint; on long ones small masks go where large ones
    did not.
    """

    levels: Design = field(default_factory=FractionalStrata)

    name = "balanced_by_length"

    def order(self, level: Array, length: int) -> NDArray[np.int64]:
        """Ascending or descending in l; masks of equal size in their order."""
        return np.argsort(level if length <= 2 * len(level) else -level, kind="stable")


DESIGNS.add(BalancedByLength.name, BalancedByLength)
