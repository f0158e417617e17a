"""Addressed streams of uniforms: the same address gives the same numbers, whatever ran before.

No global generator is read or advanced, so results depend neither on row order nor on batch size or workers.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PILOT, POOL, PRECISION, HELD_OUT = -1, -2, -3, -4
"""Repeats of draws that enter no estimate: the planner's pilot, pools, what half precision does, held-out pairs."""

Move = Callable[[NDArray[np.float64]], NDArray[np.float64]]
BELOW_ONE = np.nextafter(1.0, 0.0)
"""The largest uniform: rounding must not make it 1."""


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
        response = self._stem + _encode(self.key)
        level, mask = _digest(self._shared + b"level"), _digest(response + b"mask")
        return Uniforms(generator(level), generator(mask), _digest(response + b"weights"))

    def turned(self, place: int, count: int) -> Uniforms:
        """The streams of part ``place`` of ``count``: shared levels, moved by ``place/count`` around the circle."""
        return self.uniforms().moved(lambda u: (u + place / count) % 1.0)

    def stratified(self, place: int, count: int) -> Uniforms:
        """The streams of part ``place`` of ``count``: each level has one of as many strata, no two parts the same one.

        Which part has which is a uniform permutation, new for every level; so each part alone has iid uniforms.
        """
        order = generator(_digest(self._shared + b"strata"))

        def moved(u: NDArray[np.float64]) -> NDArray[np.float64]:
            stratum = np.argsort(order.random((*u.shape, count)), axis=-1)[..., place]
            return np.minimum((stratum + u) / count, BELOW_ONE)

        return replace(self, level_key=None).uniforms().moved(moved)

    @property
    def _stem(self) -> bytes:
        fields = (self.seed, self.design, self.n_t, self.n_yt, self.repeat, self.group, self.role)
        return b"".join(map(_encode, fields))

    @property
    def _shared(self) -> bytes:
        """Of the level stream."""
        return self._stem + _encode(self.level_key or self.key)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def generator(key: bytes) -> np.random.Generator:
    """The stream of a key of 16 bytes."""
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype="<u8")))


class Uniforms:
    """A level stream and a mask stream of uniforms on [0, 1), and the key of what weights draw for the same masks."""

    def __init__(
        self, levels: np.random.Generator, masks: np.random.Generator, key: bytes = b"", move: Move | None = None
    ) -> None:
        self._levels, self._masks, self.key, self._move = levels, masks, key, move

    def moved(self, move: Move) -> Uniforms:
        """The same streams, with a function of every uniform of the level stream in its place."""
        return Uniforms(self._levels, self._masks, self.key, move)

    def level(self, *shape: int) -> NDArray[np.float64]:
        """The next uniforms of the level stream; a design maps them to t or l by a quantile function."""
        drawn = self._levels.random(shape)
        return drawn if self._move is None else self._move(drawn)

    def mask(self, *shape: int) -> NDArray[np.float64]:
        """The next uniforms of the mask stream; a design maps their ranks (or values) to masks."""
        return self._masks.random(shape)
