"""Two models and a preference pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vrpo_theory.types.models import Predictor
from vrpo_theory.types.responses import PreferencePair

Role = Literal["policy", "reference"]

ROLES: tuple[Role, Role] = ("policy", "reference")


@dataclass(frozen=True)
class Case:
    """Two models and a preference pair, the unit that exhibits loop over.

    ``policy`` and ``reference`` are models, or answer in their place: a table, a model beside its record.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> case = MODELS["markov"].case(seed=0, length=4)  # two Markov chains, and a pair of responses
    >>> case.model("policy") is case.policy, case.pair.id
    (True, 'markov-0')
    """

    policy: Predictor
    reference: Predictor
    pair: PreferencePair

    def model(self, role: Role) -> Predictor:
        """The model that plays a role, "policy" or "reference"."""
        return self.policy if role == "policy" else self.reference


def by_models(cases: Sequence[Case]) -> list[list[int]]:
    """Indices of the cases, those of the same two models together, in the order of their first."""
    groups: dict[tuple[int, int], list[int]] = {}
    for k, case in enumerate(cases):
        groups.setdefault((id(case.policy), id(case.reference)), []).append(k)
    return list(groups.values())
