"""JSON documents: no NaN, no infinity, no numpy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

JsonValue: TypeAlias = Any
"""What JSON holds: null, a boolean, a number, a text, or a list or an object of such; readers check what they need."""
Document: TypeAlias = dict[str, JsonValue]
"""A JSON object that is being written."""
Fields: TypeAlias = Mapping[str, JsonValue]
"""One that is read."""


def finite(document: Any) -> tuple[JsonValue, list[str]]:
    """A document that JSON can hold, and the values that were lost, such as ``"interval[1] is inf"``.

    Parameters
    ----------
    document : mapping, sequence, array or scalar, nested
        Numpy's scalars and arrays become numbers and lists; numbers that are not finite become None.
    """
    plain = _plain(document)
    lost = [f"{path} is {value}" for path, value in _numbers(plain) if not math.isfinite(value)]
    return (_cleaned(plain) if lost else plain), lost


def _plain(value: Any) -> JsonValue:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _numbers(value: JsonValue, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number with a fraction, and where it stands."""
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _numbers(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for k, part in enumerate(value):
            yield from _numbers(part, f"{path}[{k}]")


def _cleaned(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {k: _cleaned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_cleaned(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
