"""Beyond VRPO: score variance of every design and weighting against VRPO's, at equal forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce._entrants import Entrant, entrants
from vrpo_theory.reproduce._summary import geometric_mean
from vrpo_theory.reproduce._toys import toys
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.types import Case, Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.reproduce._race import Race

SHORT = ("rough table", "mid table", "markov", "tiny LLaDA")
LONG = ("markov, L = 64", "markov, L = 256", "markov, L = 512", "shock, L = 64")
BUDGETS = {"markov, L = 256": (8,), "markov, L = 512": (16,), "shock, L = 64": (8,)}
"""Forward passes a response and model, where not 4, 8 and 16: long chains are costly to sample."""
SAMPLED_LONG = ("vrpo, two-way", "power strata, cross-fitted", "power strata, two-way", "power strata, two-way 0.3",
                "balanced, two-way 0.3")  # fmt: skip
"""Sampled entrants that run on long chains too."""
GAIN = "variance of VRPO's margin over the design's, a response at a time: geometric mean over responses"
WORST = "the least gain among the responses"


def compute(context: Context) -> list[Cell]:
    """Per model, entrant and budget: gain and worst gain; the bias where there is one; then loss and gradient."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory.reproduce._race import Race

    race = Race(cases, context)
    for n in BUDGETS.get(model, (4, 8, 16)):
        base = race.variances(entrants()["vrpo"], n)
        for name, entrant in context.track(_running(model), f"{model}, n = {n}"):
            column = {"model": model, "design": name, "n": n}
            yield from _gains(race, entrant, n, base, column, context)


def _running(model: str) -> list[tuple[str, Entrant]]:
    """Everybody on short responses; on long ones who is exact or in the list, and no oracle's fit per response."""
    short = model not in LONG
    return [
        (name, e)
        for name, e in entrants().items()
        if short or name in SAMPLED_LONG or (e.exact and "oracle" not in name and not model.startswith("shock"))
    ] + ([] if short or not model.startswith("shock") else [(k, entrants()[k]) for k in ("strata", "power strata")])


def _gains(
    race: Race, entrant: Entrant, n: int, base: Sequence[Estimate], column: Mapping[str, Any], context: Context
) -> Iterator[Cell]:
    found = race.variances(entrant, n)
    gains = [_quotient(b, f) for b, f in zip(base, found, strict=True)]
    exact = all(g.stderr is None for g in gains)
    about: dict[str, Any] = {"method": "exact" if exact else "mc", "n": None if exact else race.repeats}
    yield Cell("gain", column, **geometric_mean(gains, context.seed), note=GAIN, **about)
    worst = min(gains, key=lambda g: g.value)
    yield Cell("gain_worst", column, worst.value, worst.stderr, n_pairs=len(gains), note=WORST, **about)


def _quotient(above: Estimate, below: Estimate) -> Estimate:
    value = above.value / below.value
    errors = [e.stderr / e.value for e in (above, below) if e.stderr is not None]
    return Estimate(value, value * sum(x**2 for x in errors) ** 0.5 if errors else None)


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Gains at n = 8, a colour a model; 1 is VRPO."""
    figure, axes = plotting.panels(2, width=7.0, height=6.0)
    for ax, models in zip(axes, (SHORT, LONG), strict=True):
        part = [c for c in cells if c["row"] == "gain" and c["column"]["model"] in models and c["column"]["n"] >= 8]
        series: dict[str, dict[str, float]] = {}
        for c in part:
            if c["column"]["n"] == min(p["column"]["n"] for p in part if p["column"]["model"] == c["column"]["model"]):
                series.setdefault(c["column"]["model"], {})[c["column"]["design"]] = c["value"]
        if series:
            plotting.dots(ax, series, title="VRPO's variance over the design's", xlabel="gain")
            ax.set_xscale("log")
    return figure


exhibit(
    Exhibit(
        name="designs",
        title="Score variance of VRPO over other designs, at equal forward passes",
        paper_ref="2505.19223v2, section 3.2, and beyond",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=(*SHORT, *LONG)),
    )
)
