"""What an audit demands of an estimator, and where it calls it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

from vrpo_theory.auditing.toys import LISTED, TOYS, has
from vrpo_theory.errors import InputError, require_known

BATCH, LONGEST, WIDEST = 16, 256, 0.1

Place = tuple[str, int, int, int | None]
"""Toy, answer length, n, batch size."""


@dataclass(frozen=True)
class Rules:
    """What an audit demands of an estimator.

    Parameters
    ----------
    margin : float
        Largest acceptable bias, in nats per token.
    reject, accept : float
        Probability that a cell without bias is ever rejected, and that one with a bias beyond the margin is accepted.
    span : (float, float)
        Estimates are assumed to lie in [-span[0] R, span[1] R], R being the toy's reach.
    """

    margin: float
    reject: float
    accept: float
    span: tuple[float, float]


class AuditOptions(TypedDict, total=False):
    """What an audit tries, demands and spends.

    Parameters
    ----------
    lengths, n : sequence of int
        Answer lengths, 1 to 256, and numbers of masks; a toy is called at the lengths it has.
    alpha : float
        Probability that an estimator without bias is rejected, and that one with a bias beyond the margin is accepted.
    margin : float
        Largest acceptable bias, in nats per token.
    toys : sequence of str
        Names in `vrpo_theory.auditing.toys.TOYS`.
    span : (float, float)
        Estimates are assumed to lie in [-span[0] R, span[1] R], where [-R, 0] holds every plain count-form estimate.
    calls : int
        Most calls in one cell.
    seconds : float
        What is not decided after so many seconds of CPU time stays undecided: a cap, far above what an estimator needs
        that ``calls`` can decide.
    """

    lengths: Sequence[int]
    n: Sequence[int]
    alpha: float
    margin: float
    toys: Sequence[str]
    span: Sequence[float]
    calls: int
    seconds: float


DEFAULTS: AuditOptions = {
    "lengths": (1, 2, 5, 8, 70),
    "n": (1, 2, 4, 8, 16),
    "alpha": 1e-6,
    "margin": 0.01,
    "toys": TOYS,
    "span": (2.0, 0.0),
    "calls": 50_000,
    "seconds": 600.0,
}


def check_options(**options: Unpack[AuditOptions]) -> AuditOptions:
    """The options of an audit, with defaults for those left out; InputError for one that is unknown or out of range."""
    require_known("audit", options, AuditOptions)
    o: AuditOptions = {**DEFAULTS, **options}
    lengths, n, span, toys = o["lengths"], o["n"], o["span"], o["toys"]

    def require(ok: bool, message: str) -> None:
        if not ok:
            raise InputError(message)

    require(bool(lengths) and all(1 <= x <= LONGEST for x in lengths), f"lengths must be 1 to {LONGEST}, got {lengths}")
    require(bool(n) and min(n) >= 1, f"n must be numbers of masks of at least 1, got {n}")
    require(0 < o["alpha"] < 1, f"alpha must be a probability in (0, 1), got {o['alpha']}")
    require(0 < o["margin"] <= WIDEST, f"margin must lie in (0, {WIDEST}] nats per token, got {o['margin']}")
    finite = len(span) == 2 and all(map(math.isfinite, span))
    require(finite and span[0] >= 1 and span[1] >= 0, f"span must be (at least 1, at least 0), got {span}")
    require(o["seconds"] >= 0, f"seconds must be at least 0, got {o['seconds']}")
    require(o["calls"] >= 1, f"calls must be at least 1, got {o['calls']}")
    unknown = [name for name in toys if name not in TOYS]
    require(bool(toys) and not unknown, f"unknown toys {', '.join(map(repr, unknown))}: choose from {', '.join(TOYS)}")
    lonely = [x for x in lengths if not any(has(name, x) for name in toys)]
    which = f"gaps has those above {LISTED}, the others those up to it"
    require(not lonely, f"no toy of {', '.join(toys)} has an answer of length {lonely}: {which}")
    return o


def places(lengths: Sequence[int], n: Sequence[int], toys: Sequence[str], *, batches: bool) -> list[Place]:
    """Where an estimator is called, in the order of the cost; with two batch sizes each if it takes one."""
    return [
        (name, length, count, batch)
        for count in sorted(set(n))
        for length in sorted(set(lengths))
        for name in TOYS
        if name in toys and has(name, length)
        for batch in (sorted({1, min(count, BATCH)}) if batches else [None])
    ]
