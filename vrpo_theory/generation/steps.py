"""How many tokens each pass keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

from vrpo_theory.errors import InputError


class Step(NamedTuple):
    """One pass: how many proposals are kept, among the answer's first ``end`` tokens, while ``seen`` are there."""

    kept: int
    end: int
    seen: int


def schedule(blocks: Sequence[Sequence[int]], steps: int | None = None) -> list[Step]:
    """The passes of one answer: steps are shared out among the blocks, and a block's tokens among its steps.

    As evenly as can be, by the blocks' tokens; what does not divide goes to the earlier ones. Where all blocks are
    alike, and get as many steps each, this is the rule of LLaDA's code.

    Parameters
    ----------
    blocks : sequence of sequence of int
        Tokens of the sampler's blocks within each of the model's.
    steps : int, optional
        One per token by default, which is also the most.

    Raises
    ------
    InputError
        If there are fewer steps than blocks.

    Examples
    --------
    >>> [step.kept for step in schedule([[4, 4]], 6)]
    [2, 1, 1, 2, 1, 1]
    """
    sizes = [size for block in blocks for size in block]
    seen = [end for block, end in zip(blocks, accumulate(map(sum, blocks)), strict=True) for _ in block]
    shares = _shares(sizes, sum(sizes) if steps is None else min(steps, sum(sizes)))
    parts = zip(sizes, shares, accumulate(sizes), seen, strict=True)
    return [Step(kept, end, there) for size, share, end, there in parts for kept in _evenly(size, share)]


def _shares(sizes: Sequence[int], steps: int) -> list[int]:
    """Steps of each block, at least 1 and at most its tokens."""
    spare, room = steps - len(sizes), sum(sizes) - len(sizes)
    if spare < 0:
        raise InputError(f"{steps} steps for {len(sizes)} blocks: give at least one step a block, or longer blocks")
    given = [math.ceil(Fraction(spare * before, max(room, 1))) for before in accumulate(size - 1 for size in sizes)]
    return [1 + after - before for before, after in pairwise([0, *given])]


def _evenly(tokens: int, steps: int) -> list[int]:
    """Tokens of each step."""
    each, more = divmod(tokens, steps)
    return [each + (step < more) for step in range(steps)]
