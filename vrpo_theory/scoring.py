"""Scores of preference pairs, exact or estimated, as one JSON document (layer 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrpo_theory import batching, elbo, exact, sampling
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs import DESIGNS, Design
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.errors import InputError
from vrpo_theory.types import ROLES, SIDES, Budget, Case
from vrpo_theory.weightings import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN

Document = dict[str, Any]


@dataclass(frozen=True)
class Sampler:
    """How a score is sampled: design, weights, budget, sharing, and how many independent estimates are averaged."""

    design: Design = field(default_factory=IidCount)
    weighting: Weighting = PLAIN
    budget: Budget = field(default_factory=Budget)
    coupling: Coupling = field(default_factory=Coupling)
    groups: int = 1

    def document(self) -> dict[str, Any]:
        """As JSON; design and weighting as `sampler` reads them."""
        return {
            "design": self.design.address,
            "weighting": self.weighting.spec,
            "n_t": self.budget.n_t,
            "n_yt": self.budget.n_yt,
            "shared": self.coupling.shared,
            "groups": self.groups,
        }


def sampler(design: str, weighting: str, budget: Budget, coupling: Coupling, groups: int) -> Sampler:
    """A sampler from text; InputError for what does not exist, or does not go together."""
    try:
        found = Sampler(DESIGNS.build(design), WEIGHTINGS.build(weighting), budget, coupling, groups)
        found.weighting.check(found.design)
        found.design.admit(budget)
    except ValueError as error:
        raise InputError(str(error)) from None
    return found


def score_pairs(
    cases: Sequence[Case],
    *,
    method: str = "auto",
    sampler: Sampler | None = None,
    beta: float = 0.2,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Document]:
    """Score every pair; documents in the order of the cases.

    Parameters
    ----------
    method : {"auto", "exact", "mc"}
        ``auto`` enumerates pairs of responses of up to 12 tokens and samples the others.
    sampler : Sampler
        VRPO's by default: iid counts, n_t = 8, n_yt = 1, shared. Exact scores take the sharing alone from it, for the
        variance components of iid counts.

    Raises
    ------
    InputError
        If ``method`` is exact and a response is too long to enumerate.
    """
    by = sampler or Sampler()
    enumerable = [enumerates(case, method) for case in cases]
    full = [case for case, e in zip(cases, enumerable, strict=True) if e]
    rest = [case for case, e in zip(cases, enumerable, strict=True) if not e]
    tables = exact.tabulate(full, batch_tokens=batch_tokens, progress=progress)
    estimates = sampling.estimate_scores(
        rest, by.design, by.budget, by.coupling, seed=seed, weighting=by.weighting, groups=by.groups, beta=beta,
        batch_tokens=batch_tokens, progress=progress,
    )  # fmt: skip
    known = iter([_exact(case, by.coupling, beta) for case in tables])
    sampled = iter([_sampled(case, estimate) for case, estimate in zip(rest, estimates, strict=True)])
    return [next(known if e else sampled) for e in enumerable]


def forward_passes(cases: Sequence[Case], method: str, sampler: Sampler) -> int:
    """How many sequences `score_pairs` evaluates, for a progress bar."""
    full = [case for case in cases if enumerates(case, method)]
    sampled = len(ROLES) * len(SIDES) * sampler.budget.n * sampler.groups * (len(cases) - len(full))
    return exact.mask_count(full) + sampled


def enumerates(case: Case, method: str) -> bool:
    """Whether a pair is scored exactly."""
    return method == "exact" or (method == "auto" and exact.within(case))


def _exact(tabulated: Case, coupling: Coupling, beta: float) -> Document:
    moments = exact.margin_moments(exact.profiles(tabulated), IidCount(), coupling)
    margin = exact.true_margin(tabulated)
    return {
        "id": tabulated.pair.id,
        "method": "exact",
        "elbo": _sides(lambda role, side: tabulated.model(role)[tabulated.pair.side(side)].elbo),
        "loglik": _sides(lambda role, side: tabulated.model(role)[tabulated.pair.side(side)].log_likelihood),
        "margin": margin,
        "score": beta * margin,
        "stderr": None,
        "v_time": moments.v_time,
        "v_mask": moments.v_mask,
    }


def _sampled(case: Case, estimate: sampling.ScoreEstimate) -> Document:
    return {
        "id": case.pair.id,
        "method": "mc",
        "elbo": _sides(lambda role, side: estimate.elbo[role, side].value),
        "loglik": None,
        "margin": estimate.margin.value,
        "score": estimate.score.value,
        "stderr": estimate.score.stderr,
        "v_time": estimate.moments.v_time,
        "v_mask": estimate.moments.v_mask,
    }


def _sides(value: Callable[[Any, Any], float]) -> dict[str, float]:
    return {f"{role}_{side}": value(role, side) for role in ROLES for side in SIDES}
