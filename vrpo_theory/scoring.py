"""Scores of preference pairs, exact or estimated, as one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vrpo_theory import batching, elbo, exact, preference, sampling
from vrpo_theory.couplings import Coupling
from vrpo_theory.documents import Document
from vrpo_theory.schemes import VRPO, Scheme, default_scheme
from vrpo_theory.types import ROLES, SIDES, Case, Role, Side


def score_pairs(
    cases: Sequence[Case],
    scheme: Scheme | None = None,
    *,
    method: str = "auto",
    shared: bool = True,
    beta: float = 0.2,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Document]:
    """Score every pair; documents in the order of the cases.

    Parameters
    ----------
    scheme : Scheme, optional
        How scores are sampled; None if the user did not say, then `untold` where scores are sampled.
    method : {"auto", "exact", "mc"}
        ``auto`` samples where a scheme is given; else it enumerates the pairs that `exact.within` says are worth it,
        of up to 12 tokens per response, and samples the others.
    shared : bool
        Whether policy and reference share masks, where no scheme says so. Exact scores take the sharing alone from a
        scheme, for the variance components of iid counts.

    Returns
    -------
    list of dict
        ``stderr`` is the score's, ``margin_stderr`` the margin's, ``df`` their degrees of freedom. They are None where
        the score is exact or one draw gives no error (``note`` says why), and 0 where every draw gives the same, as
        masks of an answer of one token do. ``loglik_margin`` is the margin of exact log-likelihoods, None where the
        score is sampled.

    Raises
    ------
    InputError
        If ``method`` is exact and a response is too long to enumerate.
    ValueError
        If ``beta`` is negative or not finite.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (document,) = score_pairs([MODELS["tabular"].case(0, 3)])
    >>> document["method"], round(document["margin"], 4), round(document["loglik"]["policy_chosen"], 4)
    ('exact', -0.3797, -6.0945)
    """
    preference.require_beta(beta)
    by = scheme or untold(Coupling(shared))
    enumerable = [enumerates(case, method, scheme) for case in cases]
    full = [case for case, e in zip(cases, enumerable, strict=True) if e]
    rest = [case for case, e in zip(cases, enumerable, strict=True) if not e]
    tables = exact.tabulate(full, batch_tokens=batch_tokens, progress=progress)
    estimates = sampling.estimate_scores(rest, by, seed=seed, beta=beta, batch_tokens=batch_tokens, progress=progress)
    known = iter([_exact(case, by.coupling, beta) for case in tables])
    sampled = iter([_sampled(case, estimate) for case, estimate in zip(rest, estimates, strict=True)])
    return [next(known if e else sampled) for e in enumerable]


def forward_passes(cases: Sequence[Case], method: str, scheme: Scheme | None) -> int:
    """How many sequences `score_pairs` evaluates, for a progress bar."""
    full = [case for case in cases if enumerates(case, method, scheme)]
    rest = [case for case in cases if not enumerates(case, method, scheme)]
    return exact.mask_count(full) + _sampled_passes(rest, scheme or untold())


def untold(coupling: Coupling | None = None) -> Scheme:
    """How scores are sampled where no scheme is given: the default's, in two groups, which give a standard error."""
    return default_scheme(groups=2, coupling=coupling)


def _sampled_passes(cases: Sequence[Case], scheme: Scheme) -> int:
    return len(ROLES) * scheme.passes * sum(case.part_count for case in cases)


def enumerates(case: Case, method: str, scheme: Scheme | None) -> bool:
    """Whether a pair is scored exactly."""
    return method == "exact" or (method == "auto" and scheme is None and exact.within(case))


def choice(cases: Sequence[Case]) -> str:
    """What ``auto`` does without a scheme, and what it costs, in one line."""
    full = [case for case in cases if exact.within(case)]
    rest, used = [case for case in cases if not exact.within(case)], untold()
    parts = [f"exact: {len(full)} of {len(cases)} pairs, {exact.cost(full)}"] if full else []
    if rest:
        passes, budget = _sampled_passes(rest, used), f"n_t = {used.budget.n_t} in {used.groups} groups"
        parts.append(f"sampled: {len(rest)} of {len(cases)} pairs at {budget}, {passes:,} forward passes")
    if full:
        parts.append(f"--n-t {VRPO.budget.n_t} samples all, {_sampled_passes(cases, VRPO):,} forward passes")
    return "; ".join(parts)


def _exact(tabulated: Case, coupling: Coupling, beta: float) -> Document:
    moments = exact.margin_moments(exact.block_profiles(tabulated), Scheme(coupling=coupling))
    margin = exact.true_margin(tabulated)
    return {
        "id": tabulated.pair.id,
        "method": "exact",
        "elbo": _sides(lambda role, side: exact.elbo_of(tabulated, role, side)),
        "loglik": _sides(lambda role, side: exact.log_likelihood_of(tabulated, role, side)),
        "loglik_margin": exact.log_likelihood_margin(tabulated),
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
        "loglik_margin": None,
        "margin": estimate.margin.value,
        "margin_stderr": estimate.margin.stderr,
        "score": estimate.score.value + 0.0,
        "stderr": estimate.score.stderr,
        "df": estimate.score.df,
        "v_time": estimate.moments.v_time,
        "v_mask": estimate.moments.v_mask,
        "note": estimate.score.note,
    }


def _sides(value: Callable[[Role, Side], float]) -> dict[str, float]:
    return {f"{role}_{side}": value(role, side) for role in ROLES for side in SIDES}
