"""Beyond VRPO: every design and weighting against VRPO's, at equal forward passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.documents import Document, Fields
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.exhibits.designs.lineup import BASE, Entrant, entrants
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.reproduce.series import points
from vrpo_theory.reproduce.summary import geometric_mean, joined, over_pairs
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.types import Case, Estimate
from vrpo_theory.uncertainty import quotient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.reproduce.exhibits.designs.race import Race

SHORT = ("rough table", "mid table", "markov", "toy LLaDA")
LONG = ("markov, L = 64", "markov, L = 256", "markov, L = 512", "shock, L = 64")
BUDGETS = {"markov, L = 256": (8,), "markov, L = 512": (16,), "shock, L = 64": (8,)}
"""Forward passes per response and model, where not 4, 8 and 16: long chains are costly to sample."""
LOSS_BUDGET = 8
NOTES = {
    "gain": "variance of VRPO's margin over the design's, per response; geometric mean over responses",
    "gain_worst": "the least gain among the responses",
    "bias_margin": "|E margin_hat - margin| of a biased design; the others have none",
    "bias_loss": "of the plug-in loss, unless the design says jackknife",
    "var_loss": "of the plug-in loss, unless the design says jackknife",
    "var_gradient": "of the plug-in loss, all parameters",
}
UNITS = {"bias_margin": "nats", "bias_loss": "nats", "var_loss": "nats^2", "var_gradient": "squared norm"}


def compute(context: Context) -> list[Cell]:
    """Per model, budget and entrant: gain and worst gain; at n = 8 on short responses also loss and gradient."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory.reproduce.exhibits.designs.race import Race

    race = Race(cases, context)
    for n in BUDGETS.get(model, (4, 8, 16)):
        base = race.variances(entrants()[BASE], n)
        for name, entrant in context.track(list(_running(model, race)), f"{model}, n = {n}"):
            column = {"model": model, "n": n, "design": name}
            yield from _gains(race, entrant, n, base, column, context)
            if n == LOSS_BUDGET and model not in LONG:
                yield from _losses(race, name, entrant, column, context)


def _running(model: str, race: Race) -> Iterator[tuple[str, Entrant]]:
    """All on short responses; on long ones those that are exact there or say so, and no fit per response."""
    for name, entrant in entrants().items():
        exact = entrant.exact and race.profiles[0] is not None and "oracle" not in name
        if model not in LONG or exact or entrant.everywhere:
            yield name, entrant


def _gains(
    race: Race, entrant: Entrant, n: int, base: Sequence[Estimate], column: Fields, context: Context
) -> Iterator[Cell]:
    gains = [quotient(b, f) for b, f in zip(base, race.variances(entrant, n), strict=True)]
    about = _about(gains, race.repeats)
    yield Cell("gain", column, **geometric_mean(gains, context.seed, NOTES["gain"]), **about)
    worst = min(gains, key=lambda g: math.inf if math.isnan(g.value) else g.value)
    note = joined(NOTES["gain_worst"], worst.note)
    yield Cell("gain_worst", column, worst.value, worst.stderr, worst.df, n_pairs=len(gains), note=note, **about)


def _losses(race: Race, name: str, entrant: Entrant, column: Fields, context: Context) -> Iterator[Cell]:
    rows: dict[str, Sequence[Estimate]] = {}
    if bias := race.margin_bias(entrant, LOSS_BUDGET):
        rows["bias_margin"] = bias
    rows["bias_loss"], rows["var_loss"] = race.losses(entrant, LOSS_BUDGET)
    if entrant.gradient:
        rows["var_gradient"] = race.gradients(entrant, LOSS_BUDGET)
    yield from _rows(rows, column, race, context)
    if name == BASE:
        rows = dict(zip(("bias_loss", "var_loss"), race.jackknife(LOSS_BUDGET), strict=True))
        yield from _rows(rows, {**column, "design": f"{BASE}, jackknife"}, race, context)


def _rows(rows: Mapping[str, Sequence[Estimate]], column: Fields, race: Race, context: Context) -> Iterator[Cell]:
    for row, values in rows.items():
        repeats = race.gradient_repeats if row == "var_gradient" else race.repeats
        about = _about(values, repeats)
        yield Cell(row, column, **over_pairs(values, context.seed, NOTES[row]), unit=UNITS[row], **about)


def _about(values: Sequence[Estimate], repeats: int) -> Document:
    exact = all(v.stderr is None for v in values)
    return {"method": "exact" if exact else "mc", "n": None if exact else repeats}


def plot(cells: Cells) -> Figure:
    """Gains, one colour per model, short and long responses apart, and the bias of the designs that have one.

    The rule at 1 is VRPO; a star marks a biased design, whose variance is not its whole error.
    """
    drawn = [[_points(cells, model) for model in group] for group in (SHORT, LONG)]
    rows = {name for group in drawn for points in group for name in points}
    figure, (*gains, biases) = plotting.panels(3, width=4.5, height=plotting.row_height(len(rows)), most=3)
    for ax, group, found in zip(gains, (SHORT, LONG), drawn, strict=True):
        series = {model: points for model, points in zip(group, found, strict=True) if points}
        plotting.dots(
            ax,
            series,
            title="VRPO's variance over the design's",
            xlabel="above 1: better than VRPO; *: biased",
            xscale="log",
        )
    biased = points([c for c in cells if c["row"] == "bias_margin"], _model, _design)
    plotting.dots(
        biases, biased, title="size of the bias of the margin", xlabel="nats", rule=0, xscale="symlog", linthresh=1e-4
    )
    biases.set_xlim(left=-3e-5)
    return figure


def _model(column: Fields) -> str:
    return str(column["model"])


def _design(column: Fields) -> str:
    return str(column["design"])


def _points(cells: Cells, model: str) -> dict[str, tuple[float | None, float | None]]:
    """Gains of one model at n = 8, or the budget it has."""
    n = 8 if 8 in BUDGETS.get(model, (8,)) else BUDGETS[model][0]
    found = [c for c in cells if c["row"] == "gain" and c["column"]["model"] == model and c["column"]["n"] == n]
    biased = {c["column"]["design"] for c in cells if c["row"] == "bias_margin"}
    return {c["column"]["design"] + " *" * (c["column"]["design"] in biased): (c["value"], c["stderr"]) for c in found}


exhibit(
    Exhibit(
        name="designs",
        title="Designs and weights against VRPO, at equal forward passes",
        paper_ref="2505.19223v2, section 3.2, and beyond",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=(*SHORT, *LONG)),
        options=Repeated,
    )
)
