"""Types of the ablation: a configuration, a study of some pairs, a measured row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TypeVar

from vrpo_theory.reproduce.base import Context
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case, Estimate

HALF = ("bfloat16", "float16")
NEEDS_TWO = "leaves a timestep out: n_t = 1 and n_yt > 1 have none"

T = TypeVar("T")
Values = Mapping[Scheme, Sequence[Estimate]]


@dataclass(frozen=True)
class Measured:
    """One row: per configuration, an estimate per pair (none where it cannot be had, and then the note says why).

    ``error`` bounds the numerical error of the values, 0 where there is none to speak of.
    """

    row: str
    method: str
    values: Values
    n: int | None = None
    predicted: Mapping[Scheme, Sequence[float]] = field(default_factory=dict)
    note: str = ""
    error: float = 0.0

    @property
    def remark(self) -> str:
        """The note, and the numerical error."""
        bound = f"by FFT on a lattice, which moves a bias by at most {self.error:.0e} nats" if self.error else ""
        return "; ".join(filter(None, (self.note, bound)))


@dataclass(frozen=True)
class Study:
    """The pairs of one model.

    Parameters
    ----------
    answers : cases with tables in the models' place, or None where masks are not enumerated
    """

    cases: Sequence[Case]
    configurations: Sequence[Scheme]
    context: Context
    answers: Sequence[Case] | None

    @property
    def parameters(self) -> str:
        """Whose gradient is studied; "none" where a record stands for the models."""
        if self.context.recorded:
            return "none"
        if self.context.own.gradient != "auto":
            return str(self.context.own.gradient)
        return "full" if self.context.scale == "toy" else "up-proj"

    @property
    def note(self) -> str:
        """How the table says whose gradient it is."""
        return "all parameters" if self.parameters == "full" else "up-projection of block 0 (the paper's proxy)"


def leaves_out(scheme: Scheme) -> bool:
    """Whether leave-one-out gradients exist here."""
    return scheme.budget.n_t > 1 and scheme.budget.n_yt == 1


def predictions(known: Mapping[str, Values], row: str) -> dict[Scheme, list[float]]:
    """Exact values of a row, pair by pair, as what an estimate of it should be."""
    return {c: [e.value for e in estimates] for c, estimates in known.get(row, {}).items()}


def merged(parts: Sequence[Measured], order: Sequence[int]) -> Measured:
    """One row of all processes, pairs in their own order."""
    return replace(
        parts[0],
        values=_in_order([p.values for p in parts], order),
        predicted=_in_order([p.predicted for p in parts], order),
        error=max(p.error for p in parts),
    )


def _in_order(parts: Sequence[Mapping[Scheme, Sequence[T]]], order: Sequence[int]) -> dict[Scheme, list[T]]:
    """Values of all processes by their places; a configuration may have none."""
    joined = {c: [x for part in parts for x in part[c]] for c in parts[0]}
    return {c: [x for _, x in sorted(zip(order, values, strict=True), key=itemgetter(0))] if values else []
            for c, values in joined.items()}  # fmt: skip
