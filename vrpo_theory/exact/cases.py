"""Cases whose models are replaced by tables of everything they could say (layer 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vrpo_theory import elbo
from vrpo_theory.exact.enumeration import Tables, enumerate_masks
from vrpo_theory.exact.profiles import profile
from vrpo_theory.types import ROLES, SIDES, Case, Profile, Side

AUTO_LENGTH = 12
"""Longest response that is enumerated without being asked to."""


def within(case: Case, length: int = AUTO_LENGTH) -> bool:
    """Whether both responses have at most ``length`` tokens."""
    return max(case.pair.chosen.length, case.pair.rejected.length) <= length


def tabulate(
    cases: Sequence[Case], *, batch_size: int = elbo.BATCH_SIZE, progress: elbo.Progress | None = None
) -> list[Case]:
    """The same cases with `Tables` in the models' places; each model evaluates each mask of a response once.

    Raises
    ------
    InputError
        If a response is too long to enumerate.
    """
    models = {id(m): m for case in cases for m in (case.policy, case.reference)}

    def tables(model: Any) -> Tables:
        used = [case.pair.side(s) for case in cases if model in (case.policy, case.reference) for s in SIDES]
        return enumerate_masks(used, model, batch_size=batch_size, progress=progress)

    answers = {key: tables(model) for key, model in models.items()}
    return [Case(answers[id(case.policy)], answers[id(case.reference)], case.pair) for case in cases]


def mask_count(cases: Sequence[Case]) -> int:
    """Forward passes that `tabulate` needs if no response is repeated, for a progress bar."""
    return sum(len(ROLES) * (2 ** case.pair.side(side).length - 1) for case in cases for side in SIDES)


def profiles(tabulated: Case) -> dict[Side, Profile]:
    """Exact profiles of both responses of a tabulated case."""
    return {
        s: profile(tabulated.policy[tabulated.pair.side(s)], tabulated.reference[tabulated.pair.side(s)]) for s in SIDES
    }


def true_margin(tabulated: Case) -> float:
    """(B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) in nats, from exact ELBOs."""
    gain = {s: _gap(tabulated, s) for s in SIDES}
    return gain["chosen"] - gain["rejected"]


def _gap(tabulated: Case, side: Side) -> float:
    response = tabulated.pair.side(side)
    return tabulated.policy[response].elbo - tabulated.reference[response].elbo
