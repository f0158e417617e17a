"""Every statement tried: how much of each inequality is ever used, how well each equality holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vrpo_theory import plotting, sharpness
from vrpo_theory.randomness import Address
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.statements import STATEMENTS, Statement
from vrpo_theory.statements.base import Instance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIALS, STARTS = 100, 10
"""Random laws of a statement, and descents for each size of law, unless fewer repeats are asked for."""
RATIO = " lhs/rhs"
SHARE = "share of laws"
"""For relations other than <=: of random laws under the assumptions, where it holds."""


def compute(context: Context) -> list[Cell]:
    """One row per statement: its constant and the largest lhs/rhs found, and the same for its sharp form."""
    best = {s.name: _best(s, context) for s in context.track(STATEMENTS.members(), "statements")}
    return [cell for s in STATEMENTS.members() for cell in _row(s, best, context.own.repeats or TRIALS)]


def _row(statement: Statement, best: Mapping[str, float], trials: int) -> list[Cell]:
    note = f"{statement.verdict}; {statement.ref}: {statement.tex}"
    if statement.relation != "<=":
        return [Cell(statement.name, {"quantity": SHARE}, best[statement.name], n=trials, note=note)]
    forms = [statement] + ([STATEMENTS[statement.sharp]] if statement.sharp else [])
    cells = []
    for form in (f for f in forms if f.relation == "<="):
        if form.constant is not None:
            cells.append(Cell(statement.name, {"quantity": f"{form.form} constant"}, form.constant, note=note))
        cells.append(Cell(statement.name, {"quantity": f"{form.form}{RATIO}"}, best[form.name], note=note))
    return cells


def _best(statement: Statement, context: Context) -> float:
    """Largest lhs/rhs over searched laws and the witness; for other relations, the share of random laws that agree."""
    if statement.relation != "<=":
        return float(np.mean([statement.holds(x) for x in _random(statement, context)]))
    found = []
    if statement.domain in sharpness.DOMAINS:
        found.append(
            sharpness.search(statement, seed=context.seed, starts=min(context.own.repeats or STARTS, STARTS)).ratio
        )
    else:
        found += [_used(statement, x) for x in _random(statement, context)]
    if statement.witness is not None:
        found.append(_used(statement, statement.witness()))
    return max(found)


def _used(statement: Statement, x: Instance) -> float:
    lhs, rhs = statement.sides(x)[:2]
    return sharpness.used(lhs, rhs) if rhs else 1.0


def _random(statement: Statement, context: Context) -> list[Instance]:
    trials = context.own.repeats or TRIALS
    stream = Address(context.seed, f"bounds {statement.name}", trials, 1, b"").uniforms().level(trials)
    return [statement.instance(np.random.default_rng(int(u * 2**53))) for u in stream]


def plot(cells: Cells) -> Figure:
    """Best ratio of every inequality, paper's and sharp forms apart."""
    ratios = [c for c in cells if c["column"]["quantity"].endswith(RATIO)]
    figure, (axes,) = plotting.panels(1, width=7.0, height=plotting.row_height(len({c["row"] for c in ratios})))
    series = {
        form: {c["row"]: (c["value"], c["stderr"]) for c in ratios if c["column"]["quantity"] == f"{form}{RATIO}"}
        for form in ("paper", "sharp")
    }
    plotting.dots_about_one(
        axes, series, title="Largest lhs / rhs found", xlabel="1: attained; below: loose; above, with its value: false"
    )
    return figure


exhibit(
    Exhibit(
        name="bounds",
        title="Statements of the paper and their sharp forms, tried on adversarial laws",
        paper_ref="2505.19223v2, Lemmas 1-5, Theorems 1-4, Propositions 1-5",
        compute=compute,
        plot=plot,
        options=Repeated,
    )
)
