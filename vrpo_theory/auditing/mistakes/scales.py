"""Mistakes in the factor: the right sum, times or over something else."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vrpo_theory.auditing.mistakes.base import Mistake, scaled

BLOCKS = (4, 8, 16, 32, 64)
FACTORS = (1.5, 0.5, 2.0, 1.25, 0.75)


def members() -> Iterator[Mistake]:
    """Every mistake of this kind."""
    yield scaled("wrong-sign", "a loss is returned, not the ELBO: the sign is wrong", lambda length, prompt: -1.0)
    yield scaled(
        "per-token-mean",
        "the mean over tokens is returned, not the sum: a factor 1/L",
        lambda length, prompt: 1 / length,
    )
    whole = "the length that enters counts the prompt"
    yield scaled("prompt-in-length", f"{whole}: a factor (P + L)/L", lambda length, prompt: 1 + prompt / length)
    yield scaled("prompt-in-length", f"{whole}: a factor L/(P + L)", lambda length, prompt: length / (prompt + length))
    yield scaled("prompt-in-length", f"{whole}: a factor 1/(P + L)", lambda length, prompt: 1 / (prompt + length))
    for block in BLOCKS:
        yield from _padded(block)
    for factor in FACTORS:
        yield _constant(factor)


def _padded(block: int) -> Iterator[Mistake]:
    """The length D that is padded to a multiple of a block, in place of L."""

    def padded(length: int) -> int:
        return block * math.ceil(length / block)

    where = f"D, the length padded to a multiple of {block}"
    yield scaled("padded-length", f"a factor L/D: {where}, divides", lambda length, prompt: length / padded(length))
    yield scaled("padded-length", f"a factor 1/D: the mean over {where}", lambda length, prompt: 1 / padded(length))


def _constant(factor: float) -> Mistake:
    return scaled("constant-factor", f"the estimate is {factor:g} times too large", lambda length, prompt: factor)
