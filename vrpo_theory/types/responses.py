"""Responses and preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

from vrpo_theory.randomness import content_key

Side = Literal["chosen", "rejected"]

SIDES: tuple[Side, Side] = ("chosen", "rejected")


def _token_ids(ids: Sequence[int], name: str) -> tuple[int, ...]:
    try:
        tokens = tuple(int(i) for i in ids)
        exact = all(int(i) == i and not isinstance(i, bool) for i in ids)
    except (TypeError, ValueError):
        exact, tokens = False, ()
    if not exact or any(i < 0 for i in tokens):
        raise ValueError(f"{name} must be non-negative token ids, got {ids!r}: tokenize the text first")
    return tokens


@dataclass(frozen=True)
class Response:
    """A response of L tokens to a prompt, both as token ids.

    Parameters
    ----------
    prompt : sequence of int
        Prompt ids; may be empty.
    ids : sequence of int
        The L >= 1 response ids.

    Raises
    ------
    ValueError
        If an id is not a non-negative integer, or the response is empty.

    Examples
    --------
    >>> Response(prompt=(7, 8), ids=(1, 2, 3)).length
    3
    """

    prompt: tuple[int, ...]
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", _token_ids(self.prompt, "prompt"))
        object.__setattr__(self, "ids", _token_ids(self.ids, "ids"))
        if not self.ids:
            raise ValueError("a response needs at least one token, got none: drop the row or check truncation")

    @property
    def length(self) -> int:
        """L, the number of response tokens."""
        return len(self.ids)

    @cached_property
    def key(self) -> bytes:
        """Hash of the content; equal responses have equal keys, whatever row they came from."""
        return content_key(self.prompt, self.ids)

    def blocks(self, length: int | None) -> tuple[Response, ...]:
        """The small responses that block diffusion makes of it, each to all that lies before it, unmasked.

        Blocks are counted from the start of the sequence, prompt included, so the first and the last may be short.

        Parameters
        ----------
        length : int or None
            Tokens of a whole block; None for models that see the whole response at once: it is its own only block.

        Examples
        --------
        >>> [block.ids for block in Response(prompt=(7, 8, 9), ids=(1, 2, 3, 4, 5, 6)).blocks(4)]
        [(1,), (2, 3, 4, 5), (6,)]
        """
        if length is None:
            return (self,)
        start, tokens = len(self.prompt), self.prompt + self.ids
        edges = [start, *range((start // length + 1) * length, len(tokens), length), len(tokens)]
        return tuple(Response(tokens[:a], tokens[a:b]) for a, b in pairwise(edges))


@dataclass(frozen=True)
class PreferencePair:
    """A chosen and a rejected response to the same prompt.

    Raises
    ------
    ValueError
        If the prompts differ or the responses are the same.

    Examples
    --------
    >>> pair = PreferencePair(Response((7,), (1, 2)), Response((7,), (3,)))
    >>> pair.side("rejected").ids, pair.swapped().chosen.ids
    ((3,), (3,))
    """

    chosen: Response
    rejected: Response
    id: str = ""

    def __post_init__(self) -> None:
        if self.chosen.prompt != self.rejected.prompt:
            raise ValueError(f"pair {self.id!r}: chosen and rejected must answer the same prompt")
        if self.chosen.ids == self.rejected.ids:
            raise ValueError(f"pair {self.id!r}: chosen equals rejected: there is no preference in it")

    def side(self, side: Side) -> Response:
        """The response on one side, "chosen" or "rejected"."""
        return self.chosen if side == "chosen" else self.rejected

    def parts(self, side: Side) -> tuple[Response, ...]:
        """The whole response, as the only one that has an ELBO of its own; see `vrpo_theory.types.Case.parts`."""
        return (self.side(side),)

    def swapped(self) -> PreferencePair:
        """The same pair with the preference reversed."""
        return PreferencePair(self.rejected, self.chosen, self.id)
