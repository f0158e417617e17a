"""Beyond DPO: terms linear in the ELBOs, and the importance ratio of PPO and GRPO, which is not (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.documents import Fields
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.enumerated import tabulated
from vrpo_theory.reproduce.series import lines, models
from vrpo_theory.reproduce.summary import over_pairs
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.reproduce.words import in_words
from vrpo_theory.statements import lemma5
from vrpo_theory.statements import ratio as formulas
from vrpo_theory.types import Budget, Case, Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.exact import LogRatio

BUDGETS = (1, 4, 8, 16)
ESTIMATORS = ("plug-in", "jackknife", "poisson")
LINEAR = {"likelihood": (1.0, 0.0), "log-ratio": (1.0, -1.0)}
NOTES = {
    "var_term": "linear in the estimates: unbiased, and Lemma 5 is exact",
    "ratio_bias": "E of the estimate over exp(B_policy - B_reference), minus 1; policy and reference share masks",
    "ratio_bias_local": "V/2n, the bias to second order",
    "ratio_deviation": "standard deviation of the estimate over exp(B_policy - B_reference)",
}


def compute(context: Context) -> list[Cell]:
    """Per model, over the chosen responses: variance of the linear terms, bias and deviation of the ratio."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    answers = tabulated(model, cases, context)
    yield from _linear(model, answers, context)
    laws = [exact.log_ratio(answer, "chosen", Coupling()) for answer in answers]
    for n in BUDGETS:
        for estimator in ESTIMATORS:
            if estimator != "jackknife" or n > 1:
                yield from _ratio(model, laws, n, estimator, context)


def _linear(model: str, answers: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    for term, coefficients in LINEAR.items():
        contrast = Contrast("chosen", coefficients)
        moments = [exact.contrast_moments(exact.profiles(a)["chosen"], contrast) for a in answers]
        for n in BUDGETS:
            values = [Estimate(lemma5.variance(m, Budget(n))) for m in moments]
            column = {"model": model, "term": term, "n": n}
            yield Cell("var_term", column, **over_pairs(values, context.seed, NOTES["var_term"]), unit="nats^2")


def _ratio(model: str, laws: Sequence[LogRatio], n: int, estimator: str, context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    found = [exact.ratio_moments(law, n, estimator) for law in laws]
    rows = {"ratio_bias": [f.bias for f in found], "ratio_deviation": [f.variance**0.5 for f in found]}
    if estimator == "plug-in":
        rows["ratio_bias_local"] = [float(formulas.local_bias(law.variance / n)) for law in laws]
    column = {"model": model, "estimator": estimator, "n": n}
    for row, values in rows.items():
        yield Cell(row, column, **over_pairs([Estimate(v) for v in values], context.seed, NOTES[row]))


def plot(cells: Cells) -> Figure:
    """One panel per model: size of bias and deviation of the ratio against the budget, medians over pairs."""
    part = [c for c in cells if c["row"] in ("ratio_bias", "ratio_deviation")]
    part = [c for c in part if (c["row"], c["column"]["estimator"]) != ("ratio_bias", "poisson")]
    figure, axes = plotting.panels(len(models(part)))
    for ax, model in zip(axes, models(part), strict=True):
        drawn: dict[str, plotting.Line] = {}
        for row in ("ratio_bias", "ratio_deviation"):
            found = [c for c in part if c["row"] == row and c["column"]["model"] == model]
            drawn |= lines(found, partial(_label, row), "n", _size)
        plotting.curves(ax, drawn, title=model, xlabel="forward passes n", ylabel="relative to the ratio")
        plotting.doublings(ax)
    return figure


def _label(row: str, column: Fields) -> str:
    return f"{column['estimator']}, {in_words(row).removesuffix(' of the ratio')}"


def _size(cell: Fields) -> float | None:
    """Of the median over pairs; of the value where there is one pair."""
    value = cell["value"] if cell["median"] is None else cell["median"]
    return None if value is None else abs(value)


exhibit(
    Exhibit(
        name="ratio",
        title="Likelihood terms, log-ratios and importance ratios",
        paper_ref="2505.19223v2, section 3.3",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("rough table", "mid table", "markov", "toy LLaDA")),
        scales=("toy", "real"),
    )
)
