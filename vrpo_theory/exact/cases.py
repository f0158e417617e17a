"""Cases whose models are replaced by tables of everything they could say."""

from __future__ import annotations

from collections.abc import Sequence

from vrpo_theory import batching, elbo
from vrpo_theory.exact.enumeration import MaskTable, Tables, enumerate_masks, table_of
from vrpo_theory.exact.mask_profiles import profile
from vrpo_theory.types import ROLES, SIDES, Case, Profile, Side, by_models

AUTO_MASKS = 512 * 8
"""Masks per response and model that are worth an exact value unasked: 512 times VRPO's budget of 8, or 12 tokens."""


def within(case: Case, masks: int = AUTO_MASKS) -> bool:
    """Whether each response of the pair has at most ``masks`` masks, 2^L of L tokens; the rule of ``auto``."""
    longest = max(case.pair.chosen.length, case.pair.rejected.length)
    return (1 << longest) <= masks


def tabulate(
    cases: Sequence[Case], *, batch_tokens: int = batching.BATCH_TOKENS, progress: elbo.Progress | None = None
) -> list[Case]:
    """The same cases with `Tables` in the models' places; each mask of a response is evaluated once.

    Raises
    ------
    InputError
        If a response is too long to enumerate.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["markov"].case(0, 3)])
    >>> answers.reference[answers.pair.chosen].log_prob.shape  # every mask of three tokens
    (8, 3)
    """
    tables: dict[int, dict[bytes, MaskTable]] = {}
    for indices in by_models(cases):
        group = [cases[k] for k in indices]
        models = list({id(m): m for m in (group[0].policy, group[0].reference)}.values())
        used = [case.pair.side(side) for case in group for side in SIDES]
        found = enumerate_masks(used, models, batch_tokens=batch_tokens, progress=progress)
        for model, answers in zip(models, found, strict=True):
            tables.setdefault(id(model), {}).update(answers.tables)
    return [Case(Tables(tables[id(c.policy)]), Tables(tables[id(c.reference)]), c.pair) for c in cases]


def mask_count(cases: Sequence[Case]) -> int:
    """Forward passes that `tabulate` needs if no response is repeated."""
    return sum(len(ROLES) * (2 ** case.pair.side(side).length - 1) for case in cases for side in SIDES)


def cost(cases: Sequence[Case]) -> str:
    """What enumeration costs, in words."""
    most = max(2 ** case.pair.side(side).length - 1 for case in cases for side in SIDES)
    return f"up to {most:,} masks per response and model, {mask_count(cases):,} forward passes in all"


def profiles(tabulated: Case) -> dict[Side, Profile]:
    """Exact profiles of both responses of a tabulated case.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> profiles(answers)["chosen"].mean.round(3)  # of 0 to 3 masked tokens, under policy and reference
    array([[ 0.   ,  0.   ],
           [-2.299, -2.458],
           [-4.769, -4.502],
           [-7.759, -6.861]])
    """
    return {side: profile(*(table_of(tabulated, role, side) for role in ROLES)) for side in SIDES}


def true_margin(tabulated: Case) -> float:
    """(B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) in nats, from exact ELBOs.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> round(true_margin(answers), 4)
    -0.3797
    """
    gain = {s: _gap(tabulated, s) for s in SIDES}
    return gain["chosen"] - gain["rejected"]


def _gap(tabulated: Case, side: Side) -> float:
    return table_of(tabulated, "policy", side).elbo - table_of(tabulated, "reference", side).elbo
