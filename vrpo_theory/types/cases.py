"""Two models and a preference pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vrpo_theory.errors import InputError
from vrpo_theory.types.models import Predictor, block_length
from vrpo_theory.types.responses import SIDES, PreferencePair, Response, Side

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

    @property
    def block_length(self) -> int | None:
        """Tokens of a block under the two models; None where they see whole responses.

        Raises
        ------
        InputError
            If the models disagree: their masks could not be shared.
        """
        policy, reference = (block_length(self.model(role)) for role in ROLES)
        if policy != reference:
            raise InputError(
                f"policy and reference see blocks of {policy} and {reference} tokens (None: the whole response): "
                "give two models with the same blocks"
            )
        return policy

    def parts(self, side: Side) -> tuple[Response, ...]:
        """What of a response has an ELBO of its own; the response's ELBO is their sum.

        The blocks of block diffusion, independent given what lies before each; else the response itself.
        """
        return self.pair.side(side).blocks(self.block_length)

    @property
    def part_count(self) -> int:
        """Parts of both responses."""
        return sum(len(self.parts(side)) for side in SIDES)


def by_models(cases: Sequence[Case]) -> list[list[int]]:
    """Indices of the cases, those of the same two models together, in the order of their first."""
    groups: dict[tuple[int, int], list[int]] = {}
    for k, case in enumerate(cases):
        groups.setdefault((id(case.policy), id(case.reference)), []).append(k)
    return list(groups.values())
