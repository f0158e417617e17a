"""What the ablation measures, per pair and configuration: exactly, by the paper's repeats, or from one pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vrpo_theory import exact
from vrpo_theory.couplings import Coupling
from vrpo_theory.reproduce.base import Context
from vrpo_theory.types import Budget, Case, Estimate

NEEDS_TWO = "leaves a timestep out: n_t = 1 and n_yt > 1 have none"


@dataclass(frozen=True)
class Configuration:
    """One column of the ablation."""

    n_t: int
    n_yt: int
    shared: bool

    @property
    def budget(self) -> Budget:
        """Timesteps and masks."""
        return Budget(self.n_t, self.n_yt)

    @property
    def coupling(self) -> Coupling:
        """Whether policy and reference share masks."""
        return Coupling(self.shared)

    @property
    def leaves_out(self) -> bool:
        """Whether leave-one-out gradients exist here."""
        return self.n_t > 1 and self.n_yt == 1


Values = Mapping[Configuration, Sequence[Estimate]]


@dataclass(frozen=True)
class Measured:
    """One row: per configuration, an estimate per pair (none where it cannot be had, and then the note says why).

    ``error`` bounds the numerical error of the values, 0 where there is none to speak of.
    """

    row: str
    method: str
    values: Values
    n: int | None = None
    predicted: Mapping[Configuration, Sequence[float]] = field(default_factory=dict)
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
    configurations: Sequence[Configuration]
    context: Context
    answers: Sequence[Case] | None

    @property
    def parameters(self) -> str:
        """Whose gradient is studied."""
        if self.context.gradient != "auto":
            return self.context.gradient
        return "full" if self.context.scale == "toy" else "up-proj"

    @property
    def note(self) -> str:
        """How the table says whose gradient it is."""
        return "all parameters" if self.parameters == "full" else "up-projection of block 0 (the paper's proxy)"


def rows(cases: Sequence[Case], configurations: Sequence[Configuration], context: Context) -> list[Measured]:
    """All measured rows of one model."""
    from vrpo_theory.reproduce._ablation_exact import exact_rows
    from vrpo_theory.reproduce._ablation_pooled import pooled_rows
    from vrpo_theory.reproduce._ablation_repeats import repeated_rows

    study = Study(cases, configurations, context, _tabulated(cases, context))
    found = list(exact_rows(study)) if study.answers is not None else []
    known = {measured.row: measured.values for measured in found}
    if context.method == "exact":
        return found
    if context.protocol in ("paper", "both") or (context.protocol == "auto" and context.scale == "toy"):
        found += repeated_rows(study, known)
    if context.protocol in ("pooled", "both") or (context.protocol == "auto" and context.scale == "real"):
        found += pooled_rows(study, known)
    return found


def predictions(known: Mapping[str, Values], row: str) -> dict[Configuration, list[float]]:
    """Exact values of a row, pair by pair, as what an estimate of it should be."""
    return {c: [e.value for e in estimates] for c, estimates in known.get(row, {}).items()}


def _tabulated(cases: Sequence[Case], context: Context) -> list[Case] | None:
    if context.method == "mc" or (context.method == "auto" and not all(map(exact.within, cases))):
        return None
    with context.bar("enumerating masks", exact.mask_count(cases)) as progress:
        return exact.tabulate(cases, batch_tokens=context.batch_tokens, progress=progress)
