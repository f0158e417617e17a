"""A plan as JSON and as text."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from vrpo_theory.documents import Document
from vrpo_theory.planning.planner import LEVEL, Forecast
from vrpo_theory.planning.recommend import SHOWN, Plan
from vrpo_theory.schemes import Scheme
from vrpo_theory.tables import table, wrapped
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import plus_minus

GROUPS = 2
"""Independent estimates that the printed command averages: the fewest that give every score a standard error."""


def document(plan: Plan, options: Sequence[str] = ()) -> Document:
    """JSON of a plan: what to run, what it is predicted to give, and everything it was chosen from.

    Parameters
    ----------
    options : sequence of str
        As in `command`.
    """
    return {
        "run": _to_run(plan).document(),
        "command": command(plan, options),
        "cost": plan.cost,
        "pilot": {
            "evaluations": plan.evaluations,
            "groups": plan.groups,
            "degrees_of_freedom": plan.degrees_of_freedom,
        },
        "recommended": _forecast(plan.recommended),
        "vrpo": _forecast(plan.vrpo),
        "default": _forecast(plan.default),
        "doubled": _forecast(plan.doubled),
        "ratio_to_vrpo": {"value": plan.ratio.value, "stderr": plan.ratio.stderr},
        "var_gradient": plan.gradient,
        "ranking": [
            scheme.document() | {"var_score": variance.value, "stderr": variance.stderr}
            for scheme, variance in plan.ranking
        ],
        "notes": list(plan.notes),
    }


def _to_run(plan: Plan) -> Scheme:
    return replace(plan.recommended.scheme, groups=GROUPS)


def command(plan: Plan, options: Sequence[str] = ()) -> str:
    """The command that carries the plan out, ready for a shell.

    Parameters
    ----------
    options : sequence of str
        Options of the user that the command needs as well: checkpoints, pairs, precision.
    """
    return shlex.join(["vrpo", "score", *options, "--scheme", str(_to_run(plan))])


def text(plan: Plan, options: Sequence[str] = (), width: int | None = None) -> str:
    """Plain text: the command line to use, the predictions, and what the pilot leaves open.

    Parameters
    ----------
    width : int or None
        Most characters per line of a table or a note, as in `vrpo_theory.tables.table`.
    """
    parts = [
        f"At a cost of {plan.cost:g} forward passes per response and model:\n  {command(plan, options)}\n"
        f"({GROUPS} groups give standard errors, at {GROUPS} times the cost; one is enough for training)",
        _predictions(plan, width),
        _ranking(plan.ranking[:SHOWN], width),
    ]
    if plan.gradient is not None:
        parts.append(f"Variance of the loss gradient under VRPO's choice: {plan.gradient:.2g}")
    return "\n\n".join([*parts, *(wrapped(f"note: {note}", width) for note in plan.notes)])


def _predictions(plan: Plan, width: int | None) -> str:
    named = (
        ("recommended", plan.recommended),
        ("VRPO's choice", plan.vrpo),
        ("without a pilot: default", plan.default),
        ("twice the cost", plan.doubled),
    )
    header = ["", "variance of the score", f"{LEVEL:.0%} interval", "bias of the loss", "at most"]
    title = f"Predicted from a pilot of {plan.evaluations} forward passes per response and model"
    return table(header, [_row(name, forecast) for name, forecast in named], title=title, width=width)


def _row(name: str, f: Forecast) -> list[str]:
    within = "-" if f.interval is None else f"{f.interval[0]:.2g} to {f.interval[1]:.2g}"
    return [name, plus_minus(f.variance), within, f"{f.bias_local:.1e}", f"{f.bias_bound:.1e}"]


def _ranking(rows: Sequence[tuple[Scheme, Estimate]], width: int | None) -> str:
    header = ["variance", "scheme: design, weights, timesteps, masks per timestep"]
    title = "Ranking by expected variance of the score (nats^2)"
    return table(header, [[plus_minus(v), str(s)] for s, v in rows], title=title, left={1}, width=width)


def _forecast(f: Forecast) -> Document:
    return f.scheme.document() | {
        "var_score": f.variance.value,
        "stderr": f.variance.stderr,
        "interval": f.interval,
        "bias_bound": f.bias_bound,
        "bias_local": f.bias_local,
    }
