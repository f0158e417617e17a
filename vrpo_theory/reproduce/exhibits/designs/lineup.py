"""Entrants of the comparison: the designs and weightings that declare an entry, at n forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.base import DESIGNS, Entry
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Profile, Side
from vrpo_theory.weightings.base import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN

BASE, DEFAULT = "vrpo", "balanced by length, context"
"""What the others are measured against, and the package's default, `vrpo_theory.schemes.default_scheme`."""

_FLAT = Profile(np.array([[0.0, 0.0], [-1.0, -1.0]]), np.zeros((2, 2, 2)))


@dataclass(frozen=True)
class Entrant(Entry):
    """One row of the comparison: a design's entry, and the weights of its masks."""

    weighting: Weighting = PLAIN

    @property
    def coupling(self) -> Coupling:
        """What policy and reference share."""
        return Coupling(self.shared)

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
    found = {entrant.name: entrant for entrant in (*_of_designs(), *_of_weightings())}
    return {BASE: found.pop(BASE), **found}


def _of_designs() -> Iterator[Entrant]:
    return (Entrant(**vars(entry)) for design in DESIGNS.members() for entry in design.entries())


def _of_weightings() -> Iterator[Entrant]:
    """A weighting's rows bear the name of the design's first row, or of the design itself."""
    for weighting in WEIGHTINGS.members():
        for e in weighting.entries():
            member = DESIGNS[e.design]().entry()
            first = next(iter(DESIGNS[e.design].entries()), member)
            entry = replace(member, name=f"{first.name}, {e.name}", everywhere=e.everywhere, gradient=e.gradient)
            yield Entrant(**vars(entry), weighting=e.weighting)
