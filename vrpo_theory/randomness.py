"""Addressed streams of uniforms: the same address gives the same numbers, whatever ran before.

No global generator is read or advanced, so results depend neither on row order nor on batch size or workers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PILOT, POOL, PRECISION, HELD_OUT = -1, -2, -3, -4
"""Repeats of draws that enter no estimate: the planner's pilot, pools, what half precision does, held-out pairs."""


def content_key(*sequences: Sequence[int]) -> bytes:
    """Hash of integer sequences, each prefixed by its length so that no two inputs run together."""
    digest = hashlib.blake2b(digest_size=16)
    for ids in sequences:
        digest.update(struct.pack("<q", len(ids)))
        digest.update(np.asarray(ids, dtype="<i8").tobytes())
    return digest.digest()


def _encode(field: object) -> bytes:
    raw = field if isinstance(field, bytes) else repr(field).encode()
    return struct.pack("<q", len(raw)) + raw


@dataclass(frozen=True)
class Address:
    """Where a draw lives.

    Parameters
    ----------
    seed : int
        The user's seed.
    design : str
        Design name and parameters.
    n_t, n_yt : int
        Budget.
    key : bytes
        Content key of the response.
    repeat, group : int
        Replication of the whole estimate, and independent group inside one.
    role : str or None
        "policy" or "reference" when the two see different masks; None when they share.
    level_key : bytes or None
        Takes the key's place in the level stream: responses with the same one share their timesteps.
    """

    seed: int
    design: str
    n_t: int
    n_yt: int
    key: bytes
    repeat: int = 0
    group: int = 0
    role: str | None = None
    level_key: bytes | None = None

    def uniforms(self) -> Uniforms:
        """The streams of this address."""
        fields = (self.seed, self.design, self.n_t, self.n_yt, self.repeat, self.group, self.role)
        stem, level_key = b"".join(map(_encode, fields)), self.level_key or self.key
        response = stem + _encode(self.key)
        level, mask = _digest(stem + _encode(level_key) + b"level"), _digest(response + b"mask")
        return Uniforms(generator(level), generator(mask), _digest(response + b"weights"))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def generator(key: bytes) -> np.random.Generator:
    """The stream of a key of 16 bytes."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


class Uniforms:
    """A level stream and a mask stream of uniforms on [0, 1), and the key of what weights draw for the same masks."""

    def __init__(self, levels: np.random.Generator, masks: np.random.Generator, key: bytes = b"") -> None:
        self._levels, self._masks, self.key = levels, masks, key

    def level(self, *shape: int) -> NDArray[np.float64]:
        """The next uniforms of the level stream; a design maps them to t or l by a quantile function."""
        return self._levels.random(shape)

    def mask(self, *shape: int) -> NDArray[np.float64]:
        """The next uniforms of the mask stream; a design maps their ranks (or values) to masks."""
        return self._masks.random(shape)
