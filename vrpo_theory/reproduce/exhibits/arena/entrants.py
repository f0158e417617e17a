"""Entrants of the arena that draw masks and weigh token terms: public estimators under their names, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from vrpo_theory.designs.base import DESIGNS
from vrpo_theory.reproduce.exhibits.designs.lineup import DEFAULT, Entrant, entrants
from vrpo_theory.weightings.base import WEIGHTINGS
from vrpo_theory.weightings.plain import PLAIN

ELBO, OURS = "the ELBO", "this package's default"


@dataclass(frozen=True)
class Rival:
    """One entrant.

    Parameters
    ----------
    entrant : Entrant
        How it spends forward passes.
    estimand : str
        What its mean is, or is taken to be.
    weights : str
        What working out its weights costs beside forward passes, for n masks of L tokens.
    """

    entrant: Entrant
    estimand: str = ELBO
    weights: str = "none"

    @property
    def about(self) -> str:
        """For a reader of the table."""
        return f"estimates {self.estimand}; weights: {self.weights}"


@cache
def rivals() -> Mapping[str, Rival]:
    """By name, ours first and VRPO next."""
    joined, context = "O(n^2 L + n^3)", WEIGHTINGS["context"]()
    found = {
        OURS: Rival(entrants()[DEFAULT], weights=joined),
        "VRPO": Rival(_drawn("vrpo")),
        "ours, descending": Rival(_drawn("balanced_descending", weighting=context), weights=joined),
        "LLaDA's and DARE's grid": Rival(_drawn("llada_grid")),
        "EBPO, one block": Rival(_drawn("systematic")),
        "ESPO": Rival(_drawn("espo")),
        "GDPO": Rival(_drawn("gdpo")),
        "GDPO, floor(tL)": Rival(_drawn("gdpo_floor")),
        "P-POTS, oracle": Rival(entrants()["P-POTS, oracle"], weights="a fit of seven numbers"),
        "MIRROR": Rival(_drawn("mirror(eps=0.001)")),
        "BD3-LM": Rival(_drawn("clipped_time")),
        "MDLM": Rival(_drawn("low_discrepancy(eps=0.001)")),
        "coupled-GRPO": Rival(_drawn("coupled"), "token terms under size-biased masks"),
        "coupled-GRPO's code": Rival(_drawn("coupled_ratio"), "1.5 times the ELBO, about"),
        "infodis, time-free": Rival(_drawn("importance_count(tilt=1.0)", shared=False)),
        "infodis, coupled ratio": Rival(_drawn("importance_count(tilt=1.0)")),
    }
    return found


def _drawn(design: str, **traits: object) -> Entrant:
    """An entrant of this member, whatever the profile."""
    member = DESIGNS.build(design if "(" in design else f"{design}()")
    weighting = traits.pop("weighting", PLAIN)
    return Entrant(**vars(member.entry(design, **traits)), weighting=weighting)  # type: ignore[arg-type]
