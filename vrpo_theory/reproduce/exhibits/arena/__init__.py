"""The arena: every public estimator of a preference margin against this package's default, at equal passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.numerics import total
from vrpo_theory.reproduce.base import Cases, Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.exhibits.arena.entrants import OURS, rivals
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.reproduce.summary import geometric_mean, mean_over_pairs
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.types import Case, Estimate
from vrpo_theory.uncertainty import combined, quotient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.reproduce.exhibits.designs.race import Race

N = 8
"""Forward passes per response and model."""
PAIRS, REPEATS = 4, 100
TOYS = ("rough table", "mid table", "markov", "toy LLaDA", "toy LLaDA, L = 12", "markov, L = 64")
NOTES = {
    "variance": "of the margin, mean over pairs",
    "variance_over_ours": "geometric mean over pairs of the margin's variance over our default's; below 1 is ahead",
    "place": "among those without bias, by variance_over_ours; 1 is first",
    "bias": "|mean of the margin - the ELBO's|, mean over pairs",
    "bias_in_errors": "bias over the standard deviation of one estimate, both means over pairs; null without noise",
    "bias_of_log_mean": "of SPG's margin about the limit of its own mean",
    "passes": "forward passes per response and model",
    "wrong_sign": "share of pairs whose ELBO margin has another sign than the likelihoods'",
    "bracket_holds": "share of pairs whose bounds, ELBO below and power-mean above, hold the likelihoods' margin",
    "bracket_decides": "share of pairs whose bounds leave no doubt of the sign",
    "bracket_width": "mean over pairs",
    "upper_gap": "upper bound minus log-likelihood, mean over responses and models",
}
UNITS = {"variance": "nats^2", "bias": "nats", "bias_of_log_mean": "nats", "bracket_width": "nats", "upper_gap": "nats"}


def cases(context: Context) -> Cases:
    """The first `PAIRS` of every toy, or fewer."""
    return toys(replace(context, limit=min(context.limit or PAIRS, PAIRS)), TOYS)


def compute(context: Context) -> list[Cell]:
    """Per model and entrant: bias, variance, passes, place; per short model the two-sided evidence."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory.reproduce.exhibits.designs.race import Race

    race = Race(cases, context, REPEATS)
    found = dict(_running(race, context, model))
    ours = found[OURS].variances
    over = {name: _over(entrant.variances, ours, context) for name, entrant in found.items() if name != OURS}
    sound = [OURS, *(name for name in over if not found[name].biased)]
    order = sorted(sound, key=lambda name: over[name]["value"] if name in over else 1.0)
    for name, entrant in found.items():
        column = {"model": model, "entrant": name}
        yield from entrant.cells(column)
        if name in over:
            yield Cell("variance_over_ours", column, **over[name], method=_method([over[name].get("stderr")]))
        if name in sound:
            yield _cell("place", column, order.index(name) + 1, n_pairs=len(cases))
    if _short(race):
        yield from _evidence(model, race.answers)


class _Found:
    """What the arena knows of an entrant on one toy: variance and bias of every pair's margin."""

    def __init__(self, about: str, variances: Sequence[Estimate], biases: Sequence[float], passes: int) -> None:
        self.about, self.variances, self.biases, self.passes = about, variances, biases, passes
        self.log_mean: list[float] = []

    @property
    def biased(self) -> bool:
        """Whether any pair's mean is off by more than rounding."""
        return max(self.biases, default=0.0) > 1e-9

    @property
    def method(self) -> dict[str, Any]:
        return {"method": _method([v.stderr for v in self.variances])}

    def cells(self, column: Mapping[str, Any]) -> Iterator[Cell]:
        pairs = len(self.variances)
        mean = mean_over_pairs(self.variances)
        yield _cell("passes", column, self.passes, n_pairs=pairs, note=f"{column['entrant']} {self.about}")
        about = {"n_pairs": pairs, **self.method}
        yield _cell("variance", column, mean.value, stderr=mean.stderr, df=mean.df, **about)
        bias = total(self.biases) / pairs
        yield _cell("bias", column, bias, n_pairs=pairs)
        if self.biased:
            spread = combined(math.sqrt(mean.value), [(mean, 0.5 / math.sqrt(mean.value))]) if mean.value else mean
            ratio = quotient(Estimate(bias), spread)
            value = None if math.isnan(ratio.value) else ratio.value
            yield _cell("bias_in_errors", column, value, stderr=ratio.stderr, note=ratio.note, **about)
        if self.log_mean:
            yield _cell("bias_of_log_mean", column, total(self.log_mean) / pairs, n_pairs=pairs)


def _running(race: Race, context: Context, model: str) -> Iterator[tuple[str, _Found]]:
    """Everybody on short responses; on long ones those whose variance is exact there, and ours."""
    for name, rival in context.track(list(rivals().items()), model):
        known = rival.entrant.exact and "oracle" not in name
        if _short(race) or known or rival.entrant.everywhere or not rival.entrant.weighting.separable:
            parts = race.variances(rival.entrant, N)
            pairs = [_sum(chosen, rejected) for chosen, rejected in zip(parts[::2], parts[1::2], strict=True)]
            biases = [e.value for e in race.margin_bias(rival.entrant, N)] or [0.0] * len(pairs)
            yield name, _Found(rival.about, pairs, biases, rival.entrant.scheme(N, race.profiles[0]).passes)
    if _short(race):
        yield from _tabled(race)


def _method(errors: Sequence[float | None]) -> str:
    """Exact where nothing that a number is made of has a standard error."""
    return "exact" if all(error is None for error in errors) else "mc"


def _sum(chosen: Estimate, rejected: Estimate) -> Estimate:
    return combined(chosen.value + rejected.value, [(chosen, 1.0), (rejected, 1.0)])


def _tabled(race: Race) -> Iterator[tuple[str, _Found]]:
    from vrpo_theory import exact
    from vrpo_theory.reproduce.exhibits.arena.tabled import TABLED

    for name, entrant in TABLED.items():
        moments = [entrant.moments(answer, N, race.repeats) for answer in race.answers]
        biases = [abs(m.mean - exact.true_margin(a)) for m, a in zip(moments, race.answers, strict=True)]
        found = _Found(entrant.about, [m.variance for m in moments], biases, moments[0].passes)
        found.log_mean = [abs(m.mean - m.limit) for m in moments if m.limit is not None]
        yield name, found


def _short(race: Race) -> bool:
    return race.answers is not race.cases


def _over(variances: Sequence[Estimate], ours: Sequence[Estimate], context: Context) -> dict[str, Any]:
    ratios = [quotient(v, o) for v, o in zip(variances, ours, strict=True)]
    return geometric_mean(ratios, context.seed, NOTES["variance_over_ours"])


def _evidence(model: str, answers: Sequence[Case]) -> Iterator[Cell]:
    """At the power at which the upper bound is proved, L, and at SPG's, at which it is not."""
    from vrpo_theory.exact.enumeration import table_of
    from vrpo_theory.reproduce.exhibits.arena.evidence import bracket, gap
    from vrpo_theory.reproduce.exhibits.arena.tabled import POWER, SIGNS

    tables = [table_of(answer, *key) for answer in answers for key in SIGNS]
    for name, power in (("power L", None), (f"power {POWER:g}", POWER)):
        found = [bracket(answer, power) for answer in answers]
        column = {"model": model, "bound": name}
        rows = {
            "wrong_sign": [float(b.wrong_sign) for b in found],
            "bracket_holds": [float(b.holds) for b in found],
            "bracket_decides": [float(b.decides) for b in found],
            "bracket_width": [b.high - b.low for b in found],
        }
        for row, values in rows.items():
            yield _cell(row, column, total(values) / len(values), n_pairs=len(values))
        yield _cell("upper_gap", column, gap(tables, power), n_pairs=len(answers))


def _cell(row: str, column: Mapping[str, Any], value: float | None, **about: Any) -> Cell:
    note = "; ".join(filter(None, [NOTES[row], about.pop("note", "")]))
    return Cell(row, column, value, unit=UNITS.get(row, ""), note=note, **about)


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Variance over ours by entrant, one colour a model; the rule at 1 is our default, a star a biased entrant."""
    biased = {c["column"]["entrant"] for c in cells if c["row"] == "bias" and (c["value"] or 0.0) > 1e-9}
    series: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for c in cells:
        if c["row"] == "variance_over_ours":
            name = c["column"]["entrant"]
            label = name + " *" * (name in biased)
            series.setdefault(c["column"]["model"], {})[label] = (c["value"], c["stderr"])
    names = {name for points in series.values() for name in points}
    figure, (ax,) = plotting.panels(1, width=7.0, height=plotting.row_height(len(names)))
    plotting.dots(ax, series, title="margin's variance over our default's", xlabel="(* biased)", xscale="log")
    return figure


exhibit(
    Exhibit(
        name="arena",
        title="Public estimators against this package's default, at equal passes",
        paper_ref="2505.19223v2, section 3.2, and public code",
        compute=compute,
        plot=plot,
        cases=cases,
        options=Repeated,
    )
)
