"""Masked predictors on which known mistakes show, with exact values.

Every toy has a prompt of three tokens and an answer that ends in the end-of-sequence id. Short answers have every mask
in a table (`tables`); long ones a closed form (`gaps`).
"""

from __future__ import annotations

from functools import cache

from vrpo_theory.auditing.process_settings import usual_settings
from vrpo_theory.auditing.toys.base import PROMPT, Toy, answer_of
from vrpo_theory.auditing.toys.gaps import gap_toy
from vrpo_theory.auditing.toys.tables import COSTS, LISTED, TableToy, table_toy

__all__ = ["LISTED", "PROMPT", "TOYS", "TableToy", "Toy", "answer_of", "has", "toy"]

TOYS = (*COSTS, "gaps")


def has(name: str, length: int) -> bool:
    """Whether the toy of that name has an answer of that length: tables up to ten tokens, the gaps beyond."""
    return (length <= LISTED) == (name in COSTS)


@cache
@usual_settings()
def toy(name: str, length: int) -> Toy:
    """The toy of that name for an answer of L tokens, made once."""
    return table_toy(name, length) if name in COSTS else gap_toy(length)
