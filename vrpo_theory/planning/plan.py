"""From a pilot to a recommendation: what to run, what it will give, and whether the pilot can tell (layer 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vrpo_theory import batching, elbo, preference, sampling
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.numerics import total
from vrpo_theory.planning.candidates import TRIED, Candidate, Cost
from vrpo_theory.planning.pilot import SET, run_pilot
from vrpo_theory.planning.planner import CERTAIN, Forecast, Planner
from vrpo_theory.statements import loss
from vrpo_theory.types import Budget, Case
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

GRADIENT_POOL = Budget(6, 2)
MOST = 2**10
"""Largest budget that is looked at for a target."""


@dataclass(frozen=True)
class Plan:
    """A recommendation with its reasons.

    Parameters
    ----------
    recommended, vrpo : Forecast
        What to run, and iid counts, one mask each, shared, at the same cost.
    doubled : Forecast
        The recommendation at twice the budget.
    ranking : sequence of (Candidate, float)
        Every candidate and its mean predicted variance of the score, best first.
    cost : float
        Forward passes a response and model.
    notes : sequence of str
        What the pilot cannot tell.
    gradient : float or None
        tr V of the plug-in gradient of the loss under VRPO's choice, mean over pairs; it falls like 1/n.
    """

    recommended: Forecast
    vrpo: Forecast
    doubled: Forecast
    ranking: Sequence[tuple[Candidate, float]]
    cost: float
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
        Forward passes a response and model, in units of the cost model.
    target_stderr, target_bias : float
        Root mean variance of the score over pairs; mean sharp bound of the loss's bias, in nats.

    Raises
    ------
    ValueError
        If not exactly one of the three is given, or no budget in sight reaches the target.
    """
    given = {"budget": budget, "target_stderr": target_stderr, "target_bias": target_bias}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1 or not min(chosen.values()) > 0:
        raise ValueError(f"give exactly one positive budget, target_stderr or target_bias, got {given}")
    limit = budget if budget is not None else _least(planner, target_stderr, target_bias)
    ranking = planner.ranking(limit)
    best, doubled = (planner.forecast(planner.recommend(k * limit)) for k in (1, 2))
    vrpo = planner.forecast(Candidate(IidCount(), PLAIN, Budget(planner.cost.timesteps(1, limit)), Coupling(True)))
    return Plan(best, vrpo, doubled, ranking, limit, _notes(planner, best, vrpo))


def plan(
    cases: Sequence[Case],
    *,
    pilot: int = 64,
    budget: float | None = None,
    target_stderr: float | None = None,
    target_bias: float | None = None,
    cost: Cost | None = None,
    beta: float = preference.BETA,
    seed: int = 0,
    weightings: Sequence[Weighting] = (PLAIN, *TRIED),
    gradient: str = "none",
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> Plan:
    """Run a pilot of so many evaluations a response, and plan; parameters as in `make_plan` and `run_pilot`.

    Parameters
    ----------
    gradient : {"none", "full", "up-proj"}
        Whose gradient's variance to predict as well, from a small pool of its own: 12 backward passes a response.
    """
    cost = cost or Cost()
    size = SET if budget is None else min(SET, max(2, cost.timesteps(1, budget)))
    data = run_pilot(cases, pilot, size=size, seed=seed, batch_tokens=batch_tokens, progress=progress)
    planner = Planner(data, beta, cost, weightings)
    targets: dict[str, Any] = {"budget": budget, "target_stderr": target_stderr, "target_bias": target_bias}
    found = make_plan(planner, **targets)
    if gradient == "none":
        return found
    budget_of = found.vrpo.candidate.budget
    return replace(found, gradient=_gradient(cases, budget_of, gradient, beta, seed, batch_tokens))


def _gradient(
    cases: Sequence[Case], budget: Budget, parameters: str, beta: float, seed: int, batch_tokens: int
) -> float:
    pools = sampling.draw_pools(cases, GRADIENT_POOL, seed=seed, batch_tokens=batch_tokens)
    found = [
        sampling.draw_gradient_pool(case, pool, parameters=parameters, seed=seed)
        for case, pool in zip(cases, pools, strict=True)
    ]
    return total([p.loss_gradient_variance(budget, Coupling(), beta, seed=seed).value for p in found]) / len(found)


def _least(planner: Planner, stderr: float | None, bias: float | None) -> float:
    """The least whole cost, from one timestep of one mask on, that reaches a target; variances fall with the budget."""

    def reached(limit: float) -> bool:
        variances = planner.variances(planner.recommend(limit))
        if stderr is not None:
            return float(variances.mean()) <= stderr**2
        return total(loss.bias_bound(planner.scores, variances)) / len(variances) <= float(bias or 0.0)

    start = planner.cost.timestep + planner.cost.mask
    low, high = 0.0, start
    while not reached(high):
        low, high = high, 2 * high
        if high > MOST * start:
            raise ValueError(f"no budget up to {MOST * start:g} reaches the target: ask for a larger one")
    while high - low > max(1.0, 0.01 * high):
        middle = (low + high) / 2
        low, high = (low, middle) if middle >= start and reached(middle) else (middle, high)
    return float(math.ceil(high))


def _notes(planner: Planner, best: Forecast, vrpo: Forecast) -> list[str]:
    notes = []
    if planner.pilot.groups < 3:
        notes.append("the pilot has two groups: no error of the predictions; take more evaluations")
    for w in (w for w in planner.weightings if not planner.vouched(w, MOST)):
        gain = planner.gains[w]
        if gain.stderr is None or gain.value - CERTAIN * gain.stderr < 1:
            notes.append(
                f"the pilot is too small to tell whether {w.spec} weights help; a larger one may recommend them"
            )
    error = best.variance.stderr
    if error is not None and abs(vrpo.variance.value - best.variance.value) < CERTAIN * error and best != vrpo:
        notes.append("the pilot is too small to tell the recommendation from VRPO's choice")
    return notes
