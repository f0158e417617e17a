"""What an audit demands of an estimator, and where it calls it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vrpo_theory.auditing.toys import TOYS
from vrpo_theory.errors import InputError

LENGTHS, MASKS, BATCH, CALLS = (1, 2, 5, 8), (1, 2, 4, 8, 16), 16, 100_000
LONGEST, WIDEST = 10, 0.1

Place = tuple[str, int, int, int | None]
"""Toy, answer length, n, batch size."""


@dataclass(frozen=True)
class Rules:
    """What an audit demands of an estimator.

    Parameters
    ----------
    margin : float
        Largest acceptable bias, in nats per token.
    alpha : float
        Probability of error of one cell.
    span : (float, float)
        Estimates are assumed to lie in [-span[0] R, span[1] R], R being the toy's reach.
    """

    margin: float
    alpha: float
    span: tuple[float, float]


def check_options(
    *,
    lengths: Sequence[int],
    n: Sequence[int],
    alpha: float,
    margin: float,
    toys: Sequence[str],
    span: Sequence[float],
    seconds: float,
    calls: int = CALLS,
) -> None:
    """InputError, in one line, for an option of `vrpo_theory.audit` that is out of range."""

    def require(ok: bool, message: str) -> None:
        if not ok:
            raise InputError(message)

    require(bool(lengths) and all(1 <= x <= LONGEST for x in lengths), f"lengths must be 1 to {LONGEST}, got {lengths}")
    require(bool(n) and min(n) >= 1, f"n must be numbers of masks of at least 1, got {n}")
    require(0 < alpha < 1, f"alpha must be a probability in (0, 1), got {alpha}")
    require(0 < margin <= WIDEST, f"margin must lie in (0, {WIDEST}] nats per token, got {margin}")
    finite = len(span) == 2 and all(map(math.isfinite, span))
    require(finite and span[0] >= 1 and span[1] >= 0, f"span must be (at least 1, at least 0), got {span}")
    require(seconds >= 0, f"seconds must be at least 0, got {seconds}")
    require(calls >= 1, f"calls must be at least 1, got {calls}")
    unknown = [name for name in toys if name not in TOYS]
    require(bool(toys) and not unknown, f"unknown toys {', '.join(map(repr, unknown))}: choose from {', '.join(TOYS)}")


def places(lengths: Sequence[int], n: Sequence[int], toys: Sequence[str], *, batches: bool) -> list[Place]:
    """Where an estimator is called, in the order of the cost; with two batch sizes each if it takes one."""
    return [
        (name, length, count, batch)
        for count in sorted(set(n))
        for length in sorted(set(lengths))
        for name in TOYS
        if name in toys
        for batch in (sorted({1, min(count, BATCH)}) if batches else [None])
    ]
