"""The default toy: a LLaDA that has learnt addition, sorting and sums over digits, before and after VRPO.

``card.json`` says how the two models were made and what they are like; ``make toy`` makes them again.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from vrpo_theory.models.llada import LLaDA, load
from vrpo_theory.types import Case, PreferencePair, Response, Role

FOLDER = Path(__file__).parent


def case(seed: int, length: int = 8) -> Case:
    """A held-out prompt with its right answer chosen and its systematic mistake rejected, both of ``length`` tokens.

    Parameters
    ----------
    seed : int
        Number of the pair among the packaged ones of this length, from 0.
    length : int
        From 8 to 12, EOS included.

    Returns
    -------
    Case
        The policy was tuned by VRPO from the reference; both are the caller's own copies, float32 on the CPU.

    Raises
    ------
    ValueError
        If there is no such length or number.
    """
    pairs = _pairs()
    if length not in pairs:
        known = ", ".join(map(str, pairs))
        raise ValueError(f"toy_llada has no responses of {length} tokens: choose a length from {known}")
    if not 0 <= seed < len(pairs[length]):
        raise ValueError(f"toy_llada has {len(pairs[length])} pairs of length {length}, numbered from 0: got {seed}")
    return Case(copy.deepcopy(_model("policy")), copy.deepcopy(_model("reference")), pairs[length][seed])


def card() -> dict[str, Any]:
    """How the models were made, and measurements with their standard errors."""
    found: dict[str, Any] = json.loads((FOLDER / "card.json").read_text())
    return found


@cache
def _model(role: Role) -> LLaDA:
    return load(FOLDER / role)


@cache
def _pairs() -> dict[int, list[PreferencePair]]:
    rows = json.loads((FOLDER / "pairs.json").read_text())
    return {int(n): [_pair(row, f"toy_llada-{n}-{i}") for i, row in enumerate(group)] for n, group in rows.items()}


def _pair(row: dict[str, list[int]], name: str) -> PreferencePair:
    chosen, rejected = (Response(tuple(row["prompt"]), tuple(row[side])) for side in ("chosen", "rejected"))
    return PreferencePair(chosen, rejected, name)
