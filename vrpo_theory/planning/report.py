"""A plan as JSON and as text (layer 4)."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

from vrpo_theory.planning.candidates import Candidate
from vrpo_theory.planning.plan import Plan
from vrpo_theory.planning.planner import LEVEL, Forecast
from vrpo_theory.types import Estimate

SHOWN = 8
"""Candidates of the ranking that are printed."""
GROUPS = 2
"""Independent estimates that the command averages: the fewest that give every score a standard error."""


def document(plan: Plan, options: Sequence[str] = ()) -> dict[str, Any]:
    """JSON of a plan: what to run, what it is predicted to give, and everything it was chosen from.

    Parameters
    ----------
    options : sequence of str
        As in `command`.
    """
    return {
        "run": _candidate(plan.recommended.candidate) | {"groups": GROUPS},
        "command": command(plan, options),
        "cost": plan.cost,
        "pilot": {
            "evaluations": plan.evaluations,
            "groups": plan.groups,
            "degrees_of_freedom": plan.degrees_of_freedom,
        },
        "recommended": _forecast(plan.recommended),
        "vrpo": _forecast(plan.vrpo),
        "doubled": _forecast(plan.doubled),
        "ratio_to_vrpo": {"value": plan.ratio.value, "stderr": plan.ratio.stderr},
        "var_gradient": plan.gradient,
        "ranking": [
            _candidate(c) | {"var_score": variance.value, "stderr": variance.stderr, "vouched": vouched}
            for rows, vouched in ((plan.ranking, True), (plan.doubtful, False))
            for c, variance in rows
        ],
        "notes": list(plan.notes),
    }


def command(plan: Plan, options: Sequence[str] = ()) -> str:
    """The command that carries the plan out, ready for a shell.

    Parameters
    ----------
    options : sequence of str
        What the user gave that the command needs too: checkpoints, pairs, precision.
    """
    best = plan.recommended.candidate
    words = ["vrpo", "score", *options, "--method", "mc"]
    words += ["--n-t", str(best.budget.n_t), "--n-yt", str(best.budget.n_yt)]
    words += [] if best.coupling.shared else ["--no-shared"]
    words += ["--design", best.design.address, "--weighting", best.weighting.spec, "--groups", str(GROUPS)]
    return shlex.join(words)


def text(plan: Plan, options: Sequence[str] = ()) -> str:
    """For people: the command line to use, the predictions, and what the pilot leaves open."""
    lines = [
        f"At a cost of {plan.cost:g} forward passes per response and model:",
        f"  {command(plan, options)}",
        f"({GROUPS} groups give standard errors, at {GROUPS} times the cost; one is enough for training)",
        "",
        f"Predicted from a pilot of {plan.evaluations} forward passes per response and model ({plan.groups} groups):",
        f"{'':14s} {'variance of the score':>24s} {f'{LEVEL:.0%} interval':>18s} {'bias bound':>11s} {'bias':>9s}",
        *(_line(name, f) for name, f in _shown(plan)),
    ]
    if plan.gradient is not None:
        lines.append(f"variance of the loss gradient under VRPO's choice: {plan.gradient:.2g}")
    lines += ["", "Ranking by predicted variance of the score (nats^2):"]
    lines += [f"  {_value(variance):18s} {c.name}" for c, variance in plan.ranking[:SHOWN]]
    if plan.doubtful:
        lines += ["Not recommended, as the pilot cannot vouch for their weights:"]
        lines += [f"  {_value(variance):18s} {c.name}" for c, variance in plan.doubtful]
    lines += ["", *(f"note: {note}" for note in plan.notes)] if plan.notes else []
    return "\n".join(lines)


def _shown(plan: Plan) -> list[tuple[str, Forecast]]:
    return [("recommended", plan.recommended), ("VRPO's choice", plan.vrpo), ("twice the cost", plan.doubled)]


def _line(name: str, f: Forecast) -> str:
    within = "-" if f.interval is None else f"{f.interval[0]:.2g} to {f.interval[1]:.2g}"
    return f"{name:14s} {_value(f.variance):>24s} {within:>18s} {f.bias_bound:11.1e} {f.bias_local:9.1e}"


def _value(estimate: Estimate) -> str:
    """As many digits as the error allows: two of the error's own, as in 0.077 +- 0.010."""
    if not estimate.stderr:
        return f"{estimate.value:.2g}"
    places = max(0, 1 - math.floor(math.log10(estimate.stderr)))
    return f"{estimate.value:.{places}f} +- {estimate.stderr:.{places}f}"


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
        "interval": f.interval,
        "bias_bound": f.bias_bound,
        "bias_local": f.bias_local,
    }
