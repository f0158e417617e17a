"""Two models and a preference pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vrpo_theory.types.models import Predictor
from vrpo_theory.types.responses import PreferencePair

Role = Literal["policy", "reference"]

ROLES: tuple[Role, Role] = ("policy", "reference")


@dataclass(frozen=True)
class Case:
    """What exhibits loop over: two models and a preference pair.

    ``policy`` and ``reference`` are models, or answer in their place: a table, a model beside its record.
    """

    policy: Predictor
    reference: Predictor
    pair: PreferencePair

    def model(self, role: Role) -> Predictor:
        """The model that plays a role, "policy" or "reference"."""
        return self.policy if role == "policy" else self.reference
