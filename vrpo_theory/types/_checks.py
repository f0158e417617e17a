"""Checks of fields."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


def frozen(value: ArrayLike, dtype: type[Scalar]) -> NDArray[Scalar]:
    """A copy that cannot be written to."""
    array = np.array(value, dtype=dtype)
    array.setflags(write=False)
    return array


def require(ok: bool | np.bool_, message: str) -> None:
    """ValueError with the message unless ``ok``."""
    if not ok:
        raise ValueError(message)


def as_count(name: str, value: object) -> int:
    """A number of things, one or more; ValueError, which names them, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(value)
