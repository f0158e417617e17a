"""Scores of preference pairs, exact or estimated, as one JSON document (layer 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vrpo_theory import batching, elbo, exact, sampling
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs import DESIGNS
from vrpo_theory.types import ROLES, SIDES, Budget, Case

Document = dict[str, Any]


def score_pairs(
    cases: Sequence[Case],
    *,
    method: str = "auto",
    budget: Budget | None = None,
    coupling: Coupling | None = None,
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
    budget, coupling : Budget, Coupling
        Defaults: n_t = 8, n_yt = 1, shared. For exact scores they only choose whose variance components are given.

    Raises
    ------
    InputError
        If ``method`` is exact and a response is too long to enumerate.
    """
    budget, coupling = budget or Budget(), coupling or Coupling()
    enumerable = [enumerates(case, method) for case in cases]
    full = [case for case, e in zip(cases, enumerable, strict=True) if e]
    rest = [case for case, e in zip(cases, enumerable, strict=True) if not e]
    design = DESIGNS["iid_count"]()
    tables = exact.tabulate(full, batch_tokens=batch_tokens, progress=progress)
    estimates = sampling.estimate_scores(
        rest, design, budget, coupling, seed=seed, beta=beta, batch_tokens=batch_tokens, progress=progress
    )
    known = iter([_exact(case, coupling, beta) for case in tables])
    sampled = iter([_sampled(case, estimate) for case, estimate in zip(rest, estimates, strict=True)])
    return [next(known if e else sampled) for e in enumerable]


def forward_passes(cases: Sequence[Case], method: str, budget: Budget) -> int:
    """How many sequences `score_pairs` evaluates, for a progress bar."""
    full = [case for case in cases if enumerates(case, method)]
    return exact.mask_count(full) + len(ROLES) * len(SIDES) * budget.n * (len(cases) - len(full))


def enumerates(case: Case, method: str) -> bool:
    """Whether a pair is scored exactly."""
    return method == "exact" or (method == "auto" and exact.within(case))


def _exact(tabulated: Case, coupling: Coupling, beta: float) -> Document:
    moments = exact.margin_moments(exact.profiles(tabulated), DESIGNS["iid_count"](), coupling)
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
