"""An evaluation as a row: its key, its value, and a checksum of both."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types import Response


class Key(NamedTuple):
    """What was evaluated: a model's fingerprint, a response's content key, its length, and the mask as L bits."""

    model: str
    response: bytes
    length: int
    mask: bytes

    def __str__(self) -> str:
        """For errors: damage may have changed the type of a field."""
        response, mask = (x.hex() if isinstance(x, bytes) else repr(x) for x in (self.response, self.mask))
        short = mask if len(mask) <= 32 else f"{mask[:32]}..."
        return f"response {response[:8]}, mask {short}, model {str(self.model)[:8]}"


def keys(model: str, response: Response, masks: NDArray[np.bool_]) -> list[Key]:
    """The keys of masks (n, L) of one response."""
    packed, width = np.packbits(masks, axis=1).tobytes(), -(-response.length // 8)
    return [
        Key(model, response.key, response.length, packed[start : start + width])
        for start in range(0, len(packed), width)
    ]


def pack(masks: NDArray[np.bool_], values: NDArray[np.float64]) -> list[bytes]:
    """The masked tokens' log-probabilities of every row, as float64: toys compute in it, and it holds any float32."""
    raw = values[masks].astype("<f8").tobytes()
    sizes = 8 * masks.sum(1)
    ends = np.cumsum(sizes)
    return [raw[start:end] for start, end in zip(ends - sizes, ends, strict=True)]


def checksum(key: Key, value: bytes) -> bytes:
    """Eight bytes that a change to any field changes; lengths go first, so that no two rows run together."""
    model = key.model.encode()
    sizes = struct.pack("<5q", len(model), len(key.response), key.length, len(key.mask), len(value))
    return hashlib.blake2b(b"".join((sizes, model, key.response, key.mask, value)), digest_size=8).digest()


def intact(key: Key, value: bytes, check: bytes) -> bool:
    """Whether a row is as it was written; damage may also have changed the type of a field."""
    try:
        return checksum(key, value) == check
    except (AttributeError, TypeError, struct.error):
        return False
