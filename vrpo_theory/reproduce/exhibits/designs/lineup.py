"""Entrants of the comparison: the designs and weightings that declare an entry, at n forward passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.base import DESIGNS, Design
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Profile, Side
from vrpo_theory.weightings.base import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN

BASE, DEFAULT = "vrpo", "power strata, two-way"
"""What the others are measured against, and the robust default of the package."""

_FLAT = Profile(np.array([[0.0, 0.0], [-1.0, -1.0]]), np.zeros((2, 2, 2)))


@dataclass(frozen=True)
class Entrant:
    """One row of the comparison.

    Parameters
    ----------
    make : Profile -> Design
        The design, from the exact profile of the response where it is an oracle's.
    weighting : Weighting
    coupling : Coupling
    n_yt : int
        Masks per timestep, where the design leaves it free.
    everywhere, gradient : bool
        As in `vrpo_theory.designs.base.Entry`.
    """

    make: Callable[[Profile], Design]
    weighting: Weighting = PLAIN
    coupling: Coupling = Coupling()  # noqa: RUF009 (frozen)
    n_yt: int = 1
    everywhere: bool = False
    gradient: bool = False

    @property
    def exact(self) -> bool:
        """Whether its variance follows from profiles."""
        return self.weighting.separable and self.make(_FLAT).independent_masks

    def scheme(self, n: int, profiles: Mapping[Side, Profile] | None = None) -> Scheme:
        """How it spends n forward passes on a pair; an oracle fits each response its own design."""
        chosen, rejected = (self.make(profiles[side] if profiles else _FLAT) for side in SIDES)
        budget = chosen.split(n) if self.n_yt == 1 else Budget(n // self.n_yt, self.n_yt)
        return Scheme(chosen, self.weighting, budget, self.coupling, rejected=rejected)


@cache
def entrants() -> Mapping[str, Entrant]:
    """By name; the first is VRPO, which the others are measured against."""
    found = dict([*_of_designs(), *_of_weightings()])
    return {BASE: found.pop(BASE), **found}


def _of_designs() -> Iterator[tuple[str, Entrant]]:
    for design in DESIGNS.members():
        for e in design.entries():
            yield e.name, Entrant(e.make, PLAIN, Coupling(e.shared), e.n_yt, e.everywhere, e.gradient)


def _of_weightings() -> Iterator[tuple[str, Entrant]]:
    """A weighting's rows bear the name of the design's first row, or of the design itself."""
    for weighting in WEIGHTINGS.members():
        for e in weighting.entries():
            member = DESIGNS[e.design]().entry()
            first = next(iter(DESIGNS[e.design].entries()), member)
            yield (
                f"{first.name}, {e.name}",
                Entrant(member.make, e.weighting, everywhere=e.everywhere, gradient=e.gradient),
            )
