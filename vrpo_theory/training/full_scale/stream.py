"""Pairs in the order of training: split by content, ordered by seed, numbered, so that any step can be read alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.randomness import Address, content_key
from vrpo_theory.training.objective import Numbered
from vrpo_theory.types import PreferencePair


@dataclass(frozen=True)
class PairStream:
    """A data set of numbered pairs: epoch after epoch, each in an order of its own.

    Parameters
    ----------
    pairs : sequence of PreferencePair
    seed : int
        Of the orders; they depend on it, the epoch and the number of pairs.
    length : int
        Pairs to read, over all epochs.
    """

    pairs: tuple[PreferencePair, ...]
    seed: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Numbered:
        epoch, place = divmod(number, len(self.pairs))
        return number, self.pairs[int(order(self.seed, epoch, len(self.pairs))[place])]


@lru_cache(maxsize=2)
def order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """A permutation of 0..count - 1."""
    uniforms = Address(seed, "order", 1, 1, content_key([epoch])).uniforms()
    return uniforms.level(count).argsort(kind="stable")


def split(pairs: Sequence[PreferencePair], share: float) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Pairs to train on, and a share that is held out: by a hash of the prompt, so that no prompt is in both.

    A pair stays on its side whatever else is in the file, and in whatever order.
    """
    held = [_uniform(pair) < share for pair in pairs]
    sides = [[pair for pair, out in zip(pairs, held, strict=True) if out == side] for side in (False, True)]
    return sides[0], sides[1]


def _uniform(pair: PreferencePair) -> float:
    return int.from_bytes(content_key(pair.chosen.prompt)[:8], "little") / 2**64
