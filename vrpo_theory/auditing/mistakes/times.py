"""Mistakes with the time t: what public code does about small t, ends that are cut off, other weights than 1/t."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from vrpo_theory.auditing.mistakes.base import (
    Array,
    Levels,
    Mistake,
    from_counts,
    from_times,
    mistake,
    time_nodes,
    uniform,
)

FLOORS = tuple(float(x) for x in np.round(np.geomspace(0.005, 0.5, 41), 4))
ENDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
STARTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.45)


def members() -> Iterator[Mistake]:
    """Every mistake of this kind."""
    for floor in FLOORS:
        yield from _floors(floor)
    for high in ENDS:
        for low in (x for x in STARTS if x < high):
            yield _clipped(low, high)
    yield _timed("wrong-time-weight", "w is t, not 1/t", lambda t: t)
    yield _timed("wrong-time-weight", "w is 1 - t, not 1/t", lambda t: 1 - t)
    yield mistake(
        "redrawn-empty-mask", "P(l): an empty mask is drawn again with another t, w stays 1/t: (L + 1)/L too large",
        _redrawn_with_time, random_weight=True,
    )  # fmt: skip


def _timed(name: str, says: str, weight: Callable[[Array], Array]) -> Mistake:
    def levels(length: int, n: int, batch: int) -> Levels:
        t, prob = time_nodes(length)
        return from_times(length, t, prob, weight(t))

    return mistake(name, says, levels, random_weight=True)


def between(length: int, low: float, high: float = 1.0) -> Levels:
    """t ~ U[low, high] in mask and weight."""
    t, prob = time_nodes(length, low, high)
    return from_times(length, t, prob, 1 / t)


def _clipped(low: float, high: float) -> Mistake:
    return mistake(
        "clipped-time", f"t is drawn from about [{low:g}, {high:g}] only: much masked is rare",
        lambda length, n, batch: between(length, low, high), random_weight=True,
    )  # fmt: skip


def _floors(floor: float) -> Iterator[Mistake]:
    """What public code does about small t, with one floor."""
    yield mistake(
        "floored-time", f"t is drawn from about [{floor:.2g}, 1] only",
        lambda length, n, batch: between(length, floor), random_weight=True,
    )  # fmt: skip
    yield mistake(
        "clamped-time", f"t below about {floor:.2g} is raised to it, in mask and weight",
        lambda length, n, batch: _mixed(floor, _at_floor(length, floor), between(length, floor)), random_weight=True,
    )  # fmt: skip
    yield mistake(
        "clamped-weight", f"w is 1/max(t, about {floor:.2g}) but masks are drawn with t itself",
        lambda length, n, batch: _mixed(floor, _below(length, floor), between(length, floor)), random_weight=True,
    )  # fmt: skip


def _mixed(share: float, first: Levels, other: Levels) -> Levels:
    return Levels(*(share * a + (1 - share) * b for a, b in zip(first, other, strict=True)))


def _at_floor(length: int, floor: float) -> Levels:
    return from_times(length, np.array([floor]), np.ones(1), np.array([1 / floor]))


def _below(length: int, floor: float) -> Levels:
    """t ~ U[0, floor] in the mask, the floor in the weight."""
    t, prob = time_nodes(length, 0.0, floor)
    return from_times(length, t, prob, np.full(len(t), 1 / floor))


def _redrawn_with_time(length: int, n: int, batch: int) -> Levels:
    """l ~ U{1..L}, and E[1/t | l] = (L + 1)/l."""
    return from_counts(uniform(length, 1, length), (length + 1) / np.maximum(np.arange(length + 1), 1))
