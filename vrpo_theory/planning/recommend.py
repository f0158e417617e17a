"""From a pilot to a recommendation: what to run, what it will give, and what the pilot leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vrpo_theory import batching, elbo, preference, sampling
from vrpo_theory.numerics import total
from vrpo_theory.planning.notes import notes
from vrpo_theory.planning.pilot import run_pilot
from vrpo_theory.planning.planner import Forecast, Planner
from vrpo_theory.planning.search_space import MOST, Cost
from vrpo_theory.planning.targets import least_budget
from vrpo_theory.schemes import Scheme, default_scheme
from vrpo_theory.types import Budget, Case, Estimate

GRADIENT_POOL = Budget(6, 2)
SHOWN = 8
"""Number of candidates in the ranking that get standard errors and are printed."""


@dataclass(frozen=True)
class Plan:
    """A recommendation with its reasons.

    Parameters
    ----------
    recommended, vrpo, default : Forecast
        What to run; and at the same cost VRPO's choice (iid counts, one mask per timestep, shared) and this package's
        own where no pilot is run, `vrpo_theory.schemes.default_scheme`.
    doubled : Forecast
        The recommendation at twice the budget.
    ratio : Estimate
        Variance of the recommendation over that of VRPO's choice.
    ranking : sequence of (Scheme, Estimate)
        Candidates and their mean expected variance of the score, best first; the first few have standard errors.
    cost : float
        Forward passes per response and model.
    evaluations, groups, degrees_of_freedom : int
        Of the pilot: masks per response, their independent groups, and degrees of freedom of the standard errors.
    notes : sequence of str
        What the pilot leaves open, see `vrpo_theory.planning.notes`.
    gradient : float or None
        tr V of the plug-in gradient of the loss under VRPO's choice, mean over pairs; it falls like 1/n.
    """

    recommended: Forecast
    vrpo: Forecast
    default: Forecast
    doubled: Forecast
    ratio: Estimate
    ranking: Sequence[tuple[Scheme, Estimate]]
    cost: float
    evaluations: int
    groups: int
    degrees_of_freedom: int
    notes: Sequence[str]
    gradient: float | None = None


def make_plan(
    planner: Planner,
    *,
    budget: float | None = None,
    target_stderr: float | None = None,
    target_bias: float | None = None,
) -> Plan:
    """The best way to spend a budget, or the least budget that reaches a target.

    Parameters
    ----------
    budget : float
        Forward passes per response and model, in units of the cost model.
    target_stderr, target_bias : float
        Root mean variance of the score over pairs; mean sharp bound of the loss's bias, in nats.

    Raises
    ------
    ValueError
        If not exactly one of the three is given, or no budget that can be planned reaches the target.
    """
    limit = _limit(planner, budget, target_stderr, target_bias)
    ranking = planner.ranking(limit)
    best, doubled = planner.forecast(ranking[0][0]), planner.forecast(planner.recommend(2 * limit))
    steps = planner.cost.timesteps(1, limit)
    vrpo, default = (planner.forecast(scheme) for scheme in (Scheme(budget=Budget(steps)), default_scheme(steps)))
    return Plan(
        best,
        vrpo,
        default,
        doubled,
        planner.ratio(best.scheme, vrpo.scheme),
        _with_errors(planner, ranking),
        limit,
        planner.pilot.evaluations,
        planner.pilot.groups,
        planner.degrees_of_freedom,
        list(notes(planner, best, vrpo)),
    )


def _limit(planner: Planner, budget: float | None, target_stderr: float | None, target_bias: float | None) -> float:
    """The cost to plan for: the budget, or the least one that reaches the target."""
    given = {"budget": budget, "target_stderr": target_stderr, "target_bias": target_bias}
    chosen = [value for value in given.values() if value is not None]
    if len(chosen) != 1 or not 0 < chosen[0] < math.inf:
        raise ValueError(f"give exactly one positive budget, target_stderr or target_bias, got {given}")
    limit = budget if budget is not None else least_budget(planner, stderr=target_stderr, bias=target_bias)
    if limit > planner.cost.most:
        raise ValueError(
            f"a budget of {limit:g} pays for more than {MOST} timesteps, the most that can be planned: give less, and "
            "expect the variance to fall like 1/n"
        )
    return limit


def _with_errors(planner: Planner, rows: Sequence[tuple[Scheme, float]]) -> list[tuple[Scheme, Estimate]]:
    """The ranking with standard errors for the first few only, since each takes many predictions for the jackknife."""
    first = [(scheme, planner.mean_variance(scheme)) for scheme, _ in rows[:SHOWN]]
    return first + [(scheme, Estimate(value, None, "not worked out")) for scheme, value in rows[SHOWN:]]


def plan(
    cases: Sequence[Case],
    *,
    pilot: int = 64,
    cost: Cost | None = None,
    beta: float = preference.BETA,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
    **target: float | None,
) -> Plan:
    """Run a pilot, and plan.

    Parameters
    ----------
    pilot : int
        Masks per response, as in `run_pilot`.
    target : float
        One of budget, target_stderr and target_bias, as in `make_plan`.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> found = plan([MODELS["markov"].case(seed, 16) for seed in range(2)], budget=8)
    >>> found.recommended.scheme.passes, found.ratio.value < 1  # variance over that of VRPO's choice
    (8, True)
    """
    data = run_pilot(cases, pilot, seed=seed, batch_tokens=batch_tokens, progress=progress)
    found = make_plan(Planner(data, beta, cost or Cost()), **target)
    if pilot < found.evaluations:
        raised = f"the pilot has {found.evaluations} forward passes per response and model, its least, not {pilot}"
        found = replace(found, notes=[raised, *found.notes])
    return found


def with_gradient(
    found: Plan,
    cases: Sequence[Case],
    parameters: str = "full",
    *,
    beta: float = preference.BETA,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
) -> Plan:
    """A plan with the variance of the loss gradient, from a small pool of its own: 12 backward passes per response.

    Parameters
    ----------
    parameters : {"full", "up-proj"}
        Parameters whose gradient is studied.
    """
    pools = sampling.draw_pools(cases, GRADIENT_POOL, seed=seed, batch_tokens=batch_tokens)
    sketched = [
        sampling.draw_gradient_pool(case, pool, parameters=parameters, seed=seed)
        for case, pool in zip(cases, pools, strict=True)
    ]
    variances = [p.loss_gradient_variance(found.vrpo.scheme, beta, seed=seed).value for p in sketched]
    return replace(found, gradient=total(variances) / len(variances))
