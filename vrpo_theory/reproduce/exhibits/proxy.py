"""How good a proxy is the first up-projection for the whole gradient? Exactly, on toys whose masks can be listed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.documents import Fields
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import configurations, tables
from vrpo_theory.reproduce.report import column_label, configuration
from vrpo_theory.reproduce.series import models, points, printed
from vrpo_theory.reproduce.summary import joined, over_pairs, ratio_of_means
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case, Estimate
from vrpo_theory.uncertainty import quotient

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vrpo_theory.elbo import Progress
    from vrpo_theory.exact import LossGradientMoments

PAPER = "paper (8B), proxy"
PARAMETERS = {"full": "full", "proxy": "up-proj"}
"""What a row's name says, and whose gradient it is."""
UNITS = {"var": "squared norm", "bias": "norm"}
NOTES = {
    "share": "var_gradient_proxy / var_gradient_full: the part of the variance that the proxy holds",
    "rank_correlation": "Spearman's, of var_gradient_full and var_gradient_proxy: over all (pair, configuration); "
    "within pairs, over configurations, on average; within configurations, over pairs, on average",
    "bias": "norm of E grad loss_hat minus the gradient of the loss of the true score",
    "loo": "leave-one-out: each timestep's gradient takes its slope from the score of the others",
}

Estimator = tuple[str, str, Scheme]
"""("full" or "proxy", "" for plug-in or "_loo", scheme)."""


@dataclass(frozen=True)
class Found:
    """One pair: exact moments of every estimate of the gradient."""

    pair: str
    moments: Mapping[Estimator, LossGradientMoments]

    def variance(self, name: str, scheme: Scheme) -> float:
        """Of the plug-in gradient."""
        return self.moments[name, "", scheme].variance


def study(case: Case, answer: Case, beta: float, progress: Progress | None = None) -> Found:
    """Both gradients from one pass over the masks, in every configuration."""
    from vrpo_theory import exact

    moments: dict[Estimator, LossGradientMoments] = {}
    grams = exact.gradient_grams(case, tuple(PARAMETERS.values()), progress=progress)
    for name, gram in zip(PARAMETERS, grams, strict=True):
        for scheme in configurations():
            moments[name, "", scheme] = exact.loss_gradient_moments(answer, gram, scheme, beta)
            if scheme.budget.n_yt == 1 < scheme.budget.n_t:
                moments[name, "_loo", scheme] = exact.leave_one_out_moments(answer, gram, scheme, beta)
    return Found(case.pair.id, moments)


def compute(context: Context) -> list[Cell]:
    """Per model: means over pairs, how the two rank, then pair by pair."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    answers = exact.tabulate(cases, batch_tokens=context.batch_tokens)
    with context.bar(f"{model}: gradients", exact.mask_count(cases) // 2) as progress:
        found = [study(case, answer, context.beta, progress) for case, answer in zip(cases, answers, strict=True)]
    for scheme in configurations():
        yield from _means(found, {"model": model, **configuration(scheme)}, scheme, context.seed)
    yield from _ranks(found, {"model": model})
    for one in found:
        yield from _pair(one, {"model": model, "pair": one.pair})


def _means(found: Sequence[Found], column: Fields, scheme: Scheme, seed: int) -> Iterator[Cell]:
    for name, kind, at in found[0].moments:
        if at == scheme:
            moments = [f.moments[name, kind, scheme] for f in found]
            for row, values in (("var", [m.variance for m in moments]), ("bias", [m.bias_norm for m in moments])):
                note = NOTES["loo"] if kind else NOTES.get(row, "")
                summary = over_pairs([Estimate(v) for v in values], seed, note)
                yield Cell(f"{row}_gradient_{name}{kind}", column, **summary, unit=UNITS[row])
    variances = {name: [Estimate(f.variance(name, scheme)) for f in found] for name in PARAMETERS}
    for name in PARAMETERS:
        base = [Estimate(f.variance(name, configurations()[0])) for f in found]
        paper = _printed(scheme) if name == "proxy" else None
        ratio = ratio_of_means(variances[name], base, seed)
        yield Cell(f"var_gradient_{name}_ratio", column, **ratio, paper=paper)
    yield Cell("share", column, **ratio_of_means(variances["proxy"], variances["full"], seed, NOTES["share"]))


def _printed(scheme: Scheme) -> float:
    """The printed ratio to base, which is the proxy's."""
    printed: list[float] = tables()["table2_ablation"]["rows"]["var_gradient"]
    return printed[configurations().index(scheme)] / printed[0]


def _ranks(found: Sequence[Found], column: Fields) -> Iterator[Cell]:
    full, proxy = (np.array([[f.variance(name, s) for s in configurations()] for f in found]) for name in PARAMETERS)
    ranks = {"all": _rank(full.ravel(), proxy.ravel()), "within pairs": _mean_rank(full, proxy)}
    if len(found) > 1:
        ranks["within configurations"] = _mean_rank(full.T, proxy.T)
    for over, value in ranks.items():
        where = {**column, "over": over}
        note = joined(NOTES["rank_correlation"], "no two values differ" * math.isnan(value))
        yield Cell("rank_correlation", where, value, n_pairs=len(found), note=note)


def _rank(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """NaN where one of the two is constant."""
    from scipy.stats import spearmanr

    return math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else float(spearmanr(x, y).statistic)


def _mean_rank(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Over the rows that have a correlation."""
    ranks = [r for r in (_rank(a, b) for a, b in zip(x, y, strict=True)) if not math.isnan(r)]
    return float(np.mean(ranks)) if ranks else math.nan


def _pair(found: Found, column: Fields) -> Iterator[Cell]:
    for scheme in configurations():
        where = {**column, "configuration": column_label(configuration(scheme))}
        full, proxy = (found.variance(name, scheme) for name in PARAMETERS)
        yield Cell("var_gradient_full", where, full, n_pairs=1, unit=UNITS["var"])
        yield Cell("var_gradient_proxy", where, proxy, n_pairs=1, unit=UNITS["var"])
        share = quotient(Estimate(proxy), Estimate(full))
        yield Cell("share", where, share.value, n_pairs=1, note=joined(NOTES["share"], share.note))


def plot(cells: Cells) -> Figure:
    """Per model: ratios to base; proxy against the whole, one line per pair; bias of plug-in and leave-one-out."""
    figure, axes = plotting.panels(3 * len(models(cells)))
    for k, model in enumerate(models(cells)):
        part = [c for c in cells if c["column"]["model"] == model]
        _plot_ratios(axes[3 * k], part, model)
        _plot_pairs(axes[3 * k + 1], part)
        _plot_bias(axes[3 * k + 2], part)
    return figure


def _plot_ratios(ax: Axes, cells: Cells, model: str) -> None:
    full, proxy = ([c for c in cells if c["row"] == f"var_gradient_{name}_ratio"] for name in PARAMETERS)
    series = {PAPER: printed(proxy)}
    series |= points(proxy, lambda column: "proxy") | points(full, lambda column: "all parameters")
    plotting.grouped_dots(
        ax, series, title=f"{model}: variance of the gradient", ylabel="ratio to base", hollow=[PAPER]
    )


def _plot_pairs(ax: Axes, cells: Cells) -> None:
    """A line rises throughout where the proxy ranks a pair's configurations as all parameters do."""
    found: dict[str, list[tuple[float, float]]] = {}
    full, proxy = (
        [c for c in cells if c["row"] == f"var_gradient_{name}" and "pair" in c["column"]] for name in PARAMETERS
    )
    for x, y in zip(full, proxy, strict=True):
        if x["value"] is not None and y["value"] is not None:
            found.setdefault(x["column"]["pair"], []).append((x["value"], y["value"]))
    drawn = {
        pair: ([x for x, _ in sorted(at)], [y for _, y in sorted(at)], [None] * len(at)) for pair, at in found.items()
    }
    plotting.curves(ax, drawn, title="variance, squared norm", xlabel="all parameters", ylabel="proxy")


def _plot_bias(ax: Axes, cells: Cells) -> None:
    left_out = [c for c in cells if c["row"] == "bias_gradient_full_loo"]
    columns = [c["column"] for c in left_out]
    plug_in = [c for c in cells if c["row"] == "bias_gradient_full" and c["column"] in columns]
    series = points(plug_in, lambda column: "plug-in") | points(left_out, lambda column: "leave-one-out")
    plotting.grouped_dots(ax, series, title="bias, all parameters", ylabel="norm of the bias")


exhibit(
    Exhibit(
        name="proxy",
        title="How good a proxy is the first up-projection for the whole gradient?",
        paper_ref="2505.19223v2, Appendix D.5",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("toy LLaDA",)),
    )
)
