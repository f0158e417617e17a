"""Token ids of one row, as they are written in it."""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as brief
from typing import Any

from vrpo_theory.data.errors import RowError

ID_KEYS = ("prompt_ids", "chosen_ids", "rejected_ids")
_ID_LIMIT = 2**63


@dataclass(frozen=True)
class TokenRow:
    """Token ids of a prompt, which may be empty, and of its two responses."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


def token_row(row: dict[str, Any]) -> TokenRow:
    """The ids of a row; RowError where one is no token id, or a response has none."""
    prompt, chosen, rejected = (token_ids(row[key], key) for key in ID_KEYS)
    for name, ids in (("chosen_ids", chosen), ("rejected_ids", rejected)):
        if not ids:
            raise RowError(f"{name} is empty: a response needs at least one token")
    return TokenRow(prompt, chosen, rejected)


def token_ids(value: object, name: str) -> tuple[int, ...]:
    """Token ids as they are written in a row; RowError where they are none."""
    if not isinstance(value, list):
        raise RowError(f"{name} must be a list of token ids, got {brief(value)}")
    for position, token in enumerate(value):
        if type(token) is not int or not 0 <= token < _ID_LIMIT:
            raise RowError(f"{name}[{position}] must be a token id, an integer in [0, 2^63), got {brief(token)}")
    return tuple(value)
