"""A plan as JSON and as text (layer 4)."""

from __future__ import annotations

from typing import Any

from vrpo_theory.planning.candidates import Candidate
from vrpo_theory.planning.plan import Plan
from vrpo_theory.planning.planner import Forecast

SHOWN = 8
"""Candidates of the ranking that are printed."""


def document(plan: Plan) -> dict[str, Any]:
    """JSON of a plan: what to run, what it is predicted to give, and everything it was chosen from."""
    return {
        "cost": plan.cost,
        "recommended": _forecast(plan.recommended),
        "vrpo": _forecast(plan.vrpo),
        "doubled": _forecast(plan.doubled),
        "var_gradient": plan.gradient,
        "ranking": [_candidate(c) | {"var_score": variance} for c, variance in plan.ranking],
        "notes": list(plan.notes),
    }


def text(plan: Plan) -> str:
    """For people: the command line to use, the predictions, and what the pilot leaves open."""
    best = plan.recommended.candidate
    shared = "" if best.coupling.shared else " --no-shared"
    lines = [
        f"At a cost of {plan.cost:g} forward passes a response and model:",
        f"  vrpo score --n-t {best.budget.n_t} --n-yt {best.budget.n_yt}{shared}"
        f" --design '{best.design.address}' --weighting '{best.weighting.spec}' --groups 2",
        "(two groups give standard errors, at twice the cost; one is enough for training)",
        "",
        f"{'':14s} {'variance of the score':>24s} {'bias bound':>12s} {'bias, 2nd order':>16s}",
        *(_line(name, f) for name, f in _shown(plan)),
    ]
    if plan.gradient is not None:
        lines.append(f"variance of the loss gradient under VRPO's choice: {plan.gradient:.3g}")
    lines += ["", "Ranking by predicted variance of the score (nats^2):"]
    lines += [f"  {variance:.3g}  {c.name}" for c, variance in plan.ranking[:SHOWN]]
    lines += ["", *(f"note: {note}" for note in plan.notes)] if plan.notes else []
    return "\n".join(lines)


def _shown(plan: Plan) -> list[tuple[str, Forecast]]:
    return [("recommended", plan.recommended), ("VRPO's choice", plan.vrpo), ("twice the cost", plan.doubled)]


def _line(name: str, f: Forecast) -> str:
    error = "" if f.variance.stderr is None else f" +- {f.variance.stderr:.1g}"
    return f"{name:14s} {f'{f.variance.value:.3g}{error}':>24s} {f.bias_bound:12.2e} {f.bias_local:16.2e}"


def _candidate(c: Candidate) -> dict[str, Any]:
    return {
        "design": c.design.address,
        "weighting": c.weighting.spec,
        "n_t": c.budget.n_t,
        "n_yt": c.budget.n_yt,
        "shared": c.coupling.shared,
    }


def _forecast(f: Forecast) -> dict[str, Any]:
    return _candidate(f.candidate) | {
        "var_score": f.variance.value,
        "stderr": f.variance.stderr,
        "bias_bound": f.bias_bound,
        "bias_local": f.bias_local,
    }
