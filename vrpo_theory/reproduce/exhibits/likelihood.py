"""Two errors of the DPO loss, apart: ELBO in the place of the likelihood, and an estimate in the place of the ELBO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.documents import Fields
from vrpo_theory.numerics import total
from vrpo_theory.preference import loss
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.enumerated import tabulated
from vrpo_theory.reproduce.paper import configurations
from vrpo_theory.reproduce.report import column_label, configuration
from vrpo_theory.reproduce.series import models
from vrpo_theory.reproduce.summary import joined, over_pairs, ratio_of_means
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, SIDES, Case, Estimate, Role, Side
from vrpo_theory.uncertainty import quotient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGNS = {(role, side): (-1) ** (i + j) for i, role in enumerate(ROLES) for j, side in enumerate(SIDES)}
"""Of each log-likelihood in the margin."""
UNITS = {"gap_left": ""}
NOTES = {
    "loss_loglik": "exact likelihood: tokens unmasked one by one in uniformly random order",
    "elbo_gap_bias": "loss from the ELBO's score minus loss from the likelihood's",
    "gap_left": "|margin_gap| / gap_sum: the share of the four ELBO gaps that the margin does not cancel",
    "monte_carlo_bias": "E loss_hat minus loss from the ELBO's score: the ablation's bias_loss, exactly",
}


@dataclass(frozen=True)
class Comparison:
    """One pair: what does not depend on the sampler, the four ELBO gaps, and E loss_hat by configuration."""

    pair: str
    numbers: Mapping[str, float]
    gaps: Mapping[tuple[Role, Side], float]
    sampled: Mapping[Scheme, tuple[float, float]]
    """The bias of loss_hat and a bound on its numerical error."""


def compare(answer: Case, beta: float) -> Comparison:
    """Everything about one tabulated pair, exactly."""
    from vrpo_theory.exact import table_of

    tables_of = {(role, side): table_of(answer, role, side) for role in ROLES for side in SIDES}
    gaps = {key: table.log_likelihood - table.elbo for key, table in tables_of.items()}
    elbo = beta * total([SIGNS[key] * table.elbo for key, table in tables_of.items()])
    loglik = beta * total([SIGNS[key] * table.log_likelihood for key, table in tables_of.items()])
    margin_gap, gap_sum = total([SIGNS[key] * gap for key, gap in gaps.items()]), total(list(gaps.values()))
    numbers = {
        "score_loglik": loglik,
        "score_elbo": elbo,
        "loss_loglik": float(loss(loglik)),
        "loss_elbo": float(loss(elbo)),
        "elbo_gap_bias": float(loss(elbo) - loss(loglik)),
        "margin_gap": margin_gap,
        "gap_sum": gap_sum,
    }
    return Comparison(answer.pair.id, numbers, gaps, _sampled(answer, elbo, beta))


def _sampled(answer: Case, score: float, beta: float) -> dict[Scheme, tuple[float, float]]:
    from vrpo_theory import exact

    found = {}
    for scheme in configurations():
        moments = exact.loss_moments(exact.score_law(answer, scheme, beta), score)
        found[scheme] = moments.bias, moments.error
    return found


def compute(context: Context) -> list[Cell]:
    """Per model: means over pairs, the gap of every role and side, then pair by pair."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    answers = tabulated(model, cases, context)
    found = [compare(answer, context.beta) for answer in context.track(answers, "score laws")]
    yield from _means(model, found, context.seed)
    for comparison in found:
        yield from _pair(model, comparison)


def _cell(row: str, column: Fields, value: float | None = None, **about: Any) -> Cell:
    note = joined(NOTES.get(row, ""), about.pop("note", ""))
    return Cell(row, column, value, unit=UNITS.get(row, "nats"), note=note, **about)


def _means(model: str, found: Sequence[Comparison], seed: int) -> Iterator[Cell]:
    every = {row: [Estimate(f.numbers[row]) for f in found] for row in found[0].numbers}
    for row, estimates in every.items():
        yield _cell(row, {"model": model, "pair": "mean"}, **over_pairs(estimates, seed))
    left = ratio_of_means([Estimate(abs(e.value)) for e in every["margin_gap"]], every["gap_sum"], seed)
    yield _cell("gap_left", {"model": model, "pair": "mean"}, **left)
    for role, side in SIGNS:
        gaps = [Estimate(f.gaps[role, side]) for f in found]
        yield _cell("elbo_gap", {"model": model, "role": role, "side": side}, **over_pairs(gaps, seed))
    for scheme in found[0].sampled:
        column = {"model": model, **configuration(scheme)}
        bias = [f.sampled[scheme][0] for f in found]
        mean = [Estimate(f.numbers["loss_elbo"] + b) for f, b in zip(found, bias, strict=True)]
        yield _cell("loss_mean", column, **over_pairs(mean, seed))
        error = max(f.sampled[scheme][1] for f in found)
        note = f"to within {error:.0e} nats" if error else ""  # of convolving on a lattice
        yield _cell("monte_carlo_bias", column, **over_pairs([Estimate(b) for b in bias], seed, note))


def _pair(model: str, found: Comparison) -> Iterator[Cell]:
    column = {"model": model, "pair": found.pair}
    for row, value in found.numbers.items():
        yield _cell(row, column, value, n_pairs=1)
    left = quotient(Estimate(abs(found.numbers["margin_gap"])), Estimate(found.numbers["gap_sum"]))
    yield _cell("gap_left", column, left.value, n_pairs=1, note=left.note)
    for scheme, (bias, _) in found.sampled.items():
        where = column | {"configuration": column_label(configuration(scheme))}
        yield _cell("loss_mean", where, found.numbers["loss_elbo"] + bias, n_pairs=1)
        yield _cell("monte_carlo_bias", where, bias, n_pairs=1)


def plot(cells: Cells) -> Figure:
    """One panel per model, one point per pair: the bias of the ELBO gap, then that of every configuration."""
    part = [c for c in cells if c["row"] in ("elbo_gap_bias", "monte_carlo_bias") and c["n_pairs"] == 1]
    part = [c for c in part if c["column"].get("pair", "mean") != "mean"]
    figure, axes = plotting.panels(len(models(part)))
    for ax, model in zip(axes, models(part), strict=True):
        groups: dict[str, list[float | None]] = {}
        for c in part:
            if c["column"]["model"] == model:
                groups.setdefault(c["column"].get("configuration", "ELBO gap"), []).append(c["value"])
        plotting.strips(ax, groups, title=model, ylabel="bias of the loss, nats")
    return figure


exhibit(
    Exhibit(
        name="likelihood",
        title="DPO loss from the exact likelihood, from the exact ELBO, and from estimates",
        paper_ref="2505.19223v2, Eq. 7-8 and Theorem 1",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("rough table", "mid table", "markov", "toy LLaDA")),
        scales=("toy", "real"),
    )
)
