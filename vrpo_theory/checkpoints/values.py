"""What kind of value an option of a configuration takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from vrpo_theory.errors import InputError


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _whole(value) and value > 0


def _token(value: Any) -> bool:
    return _whole(value) and value >= 0


def _tokens(value: Any) -> bool:
    return _token(value) or (isinstance(value, list) and all(map(_token, value)))


def _probability(value: Any) -> bool:
    return (_whole(value) or isinstance(value, float)) and 0 <= value < 1


def _real(value: Any) -> bool:
    return (_whole(value) or isinstance(value, float)) and math.isfinite(value) and value > 0


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


class Kind(NamedTuple):
    """A test of values, and its words; `with_null` lets null pass too."""

    holds: Callable[[Any], bool]
    words: str

    @property
    def with_null(self) -> Kind:
        """The same, or null."""
        return Kind(lambda value: value is None or self.holds(value), f"{self.words}, or null")

    def require(self, values: Iterable[tuple[str, Any]]) -> None:
        """InputError for the first value, by its option's name, that is of another kind."""
        for name, value in values:
            if not self.holds(value):
                raise InputError(f"{name}={value!r} must be {self.words}: correct the configuration")


COUNT = Kind(_positive, "a positive integer")
TOKEN = Kind(_token, "a token id")
TOKENS = Kind(_tokens, "a token id or a list of them")
PROBABILITY = Kind(_probability, "a probability")
REAL = Kind(_real, "a positive number")
FLAG = Kind(_flag, "true or false")
