"""Tokens of the toy language: ten digits and eight signs."""

from __future__ import annotations

from collections.abc import Sequence

SIGNS = "0123456789+<>s =._"
"""What each id looks like; a digit is its own id."""

PLUS, ASCENDING, DESCENDING, SUMS, BLANK, EQUALS, EOS, MASK = range(10, len(SIGNS))


def text(ids: Sequence[int]) -> str:
    """Ids as readable text, one character per token: "." ends a response, "_" is masked.

    Raises
    ------
    ValueError
        If an id is not of this language.
    """
    for token in ids:
        if not 0 <= token < len(SIGNS):
            raise ValueError(f"token id {token} is not of the toy language: its ids are 0..{len(SIGNS) - 1}")
    return "".join(SIGNS[token] for token in ids)
