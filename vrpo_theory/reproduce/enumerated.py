"""Tables in the models' place, for exhibits that need every mask: refused before a run that would take too long."""

from __future__ import annotations

from collections.abc import Sequence

from vrpo_theory.errors import InputError
from vrpo_theory.reproduce.base import Context
from vrpo_theory.runs.console import say
from vrpo_theory.types import Case


def enumerable(cases: Sequence[Case], context: Context) -> bool:
    """Whether every mask of these pairs is to be evaluated: asked for, or cheap."""
    from vrpo_theory import exact

    if context.method == "auto" and context.scale == "real" and context.own.budgeted:
        return False
    return context.method == "exact" or (context.method == "auto" and all(map(exact.within, cases)))


def tabulated(model: str, cases: Sequence[Case], context: Context) -> list[Case]:
    """The cases with tables in the models' place.

    Raises
    ------
    InputError
        If that is costly and was not asked for, or Monte Carlo was.
    """
    from vrpo_theory import exact

    if not enumerable(cases, context):
        raise InputError(
            f"{model}: this exhibit evaluates every mask, {exact.cost(cases)}: --method exact does so, or give pairs "
            "of at most 12 tokens; table3 and allocation sample long ones"
        )
    if context.scale == "real" and context.method == "auto":
        say(f"exact: {exact.cost(cases)}; --method mc samples instead")
    with context.bar(model, exact.mask_count(cases)) as progress:
        return exact.tabulate(cases, batch_tokens=context.batch_tokens, progress=progress)
