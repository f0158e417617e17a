"""Random preference pairs, for toys of checkpoints."""

from __future__ import annotations

import numpy as np

from vrpo_theory.types import PreferencePair, Response


def toy_pair(rng: np.random.Generator, vocabulary: int, prompt: int, length: int, name: str) -> PreferencePair:
    """Two different uniform responses of ``length`` tokens to a uniform prompt of ``prompt`` tokens."""

    def draw(tokens: int) -> tuple[int, ...]:
        return tuple(rng.integers(vocabulary, size=tokens).tolist())

    before, chosen, rejected = draw(prompt), draw(length), draw(length)
    while rejected == chosen:
        rejected = draw(length)
    return PreferencePair(Response(before, chosen), Response(before, rejected), name)
