"""Scores of preference pairs, exact or estimated, as one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vrpo_theory import batching, elbo, exact, preference, sampling
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
    """How a score is sampled: design, weights, budget, sharing, and how many independent estimates are averaged.

    ``chosen`` says that somebody asked for it: ``auto`` then samples every pair.
    """

    design: Design = field(default_factory=IidCount)
    weighting: Weighting = PLAIN
    budget: Budget = field(default_factory=Budget)
    coupling: Coupling = field(default_factory=Coupling)
    groups: int = 1
    chosen: bool = True

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


DEFAULT = Sampler(chosen=False)
"""VRPO's, for whoever asks for none."""


def sampler(
    coupling: Coupling,
    design: str | None = None,
    weighting: str | None = None,
    n_t: int | None = None,
    n_yt: int | None = None,
    groups: int | None = None,
) -> Sampler:
    """A sampler from what a person typed, VRPO's where nothing; InputError for what does not exist or go together."""
    asked = (design, weighting, n_t, n_yt, groups)
    try:
        found = Sampler(
            DESIGNS.build(design or "iid_count"),
            WEIGHTINGS.build(weighting or "plain"),
            Budget(n_t or Budget().n_t, n_yt or Budget().n_yt),
            coupling,
            groups or 1,
            chosen=any(option is not None for option in asked),
        )
        found.weighting.check(found.design)
        found.design.admit(found.budget)
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
        ``auto`` samples where a sampler is given; else it enumerates the pairs that `exact.within` says are worth it,
        of up to 12 tokens a response, and samples the others.
    sampler : Sampler
        VRPO's by default: iid counts, n_t = 8, n_yt = 1, shared. Exact scores take the sharing alone from it, for the
        variance components of iid counts.

    Returns
    -------
    list of dict
        ``stderr`` is the score's, ``margin_stderr`` the margin's, ``df`` their degrees of freedom. They are None where
        the score is exact or one draw gives no error (``note`` says why), and 0 where every draw gives the same, as
        masks of an answer of one token do.

    Raises
    ------
    InputError
        If ``method`` is exact and a response is too long to enumerate.
    ValueError
        If ``beta`` is negative or not finite.
    """
    preference.require_beta(beta)
    by = sampler or DEFAULT
    enumerable = [enumerates(case, method, by) for case in cases]
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
    full = [case for case in cases if enumerates(case, method, sampler)]
    return exact.mask_count(full) + _sampled_passes(len(cases) - len(full), sampler)


def _sampled_passes(pairs: int, sampler: Sampler) -> int:
    return len(ROLES) * len(SIDES) * sampler.budget.n * sampler.groups * pairs


def enumerates(case: Case, method: str, sampler: Sampler) -> bool:
    """Whether a pair is scored exactly."""
    return method == "exact" or (method == "auto" and not sampler.chosen and exact.within(case))


def choice(cases: Sequence[Case], sampler: Sampler) -> str:
    """What ``auto`` does without a budget, and what it costs, in one line."""
    full = [case for case in cases if enumerates(case, "auto", sampler)]
    rest, n_t = len(cases) - len(full), sampler.budget.n_t
    parts = [f"exact: {len(full)} of {len(cases)} pairs, {exact.cost(full)}"] if full else []
    if rest:
        passes = _sampled_passes(rest, sampler)
        parts.append(f"sampled: {rest} of {len(cases)} pairs at n_t = {n_t}, {passes:,} forward passes")
    if full:
        parts.append(f"--n-t {n_t} samples all, {_sampled_passes(len(cases), sampler):,} forward passes")
    return "; ".join(parts)


def _exact(tabulated: Case, coupling: Coupling, beta: float) -> Document:
    moments = exact.margin_moments(exact.profiles(tabulated), IidCount(), coupling)
    margin = exact.true_margin(tabulated)
    return {
        "id": tabulated.pair.id,
        "method": "exact",
        "elbo": _sides(lambda role, side: exact.table_of(tabulated, role, side).elbo),
        "loglik": _sides(lambda role, side: exact.table_of(tabulated, role, side).log_likelihood),
        "margin": margin,
        "margin_stderr": None,
        "score": beta * margin + 0.0,  # not -0.0 at beta = 0
        "stderr": None,
        "df": None,
        "v_time": moments.v_time,
        "v_mask": moments.v_mask,
        "note": "",
    }


def _sampled(case: Case, estimate: sampling.ScoreEstimate) -> Document:
    return {
        "id": case.pair.id,
        "method": "mc",
        "elbo": _sides(lambda role, side: estimate.elbo[role, side].value),
        "loglik": None,
        "margin": estimate.margin.value,
        "margin_stderr": estimate.margin.stderr,
        "score": estimate.score.value + 0.0,
        "stderr": estimate.score.stderr,
        "df": estimate.score.df,
        "v_time": estimate.moments.v_time,
        "v_mask": estimate.moments.v_mask,
        "note": estimate.score.note,
    }


def _sides(value: Callable[[Any, Any], float]) -> dict[str, float]:
    return {f"{role}_{side}": value(role, side) for role in ROLES for side in SIDES}
