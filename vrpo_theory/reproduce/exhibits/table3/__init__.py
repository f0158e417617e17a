"""The VRPO ablation: variance of score, loss and gradient in six configurations (2505.19223v2, Table 2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.documents import Document, Fields
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.exhibits.table3.options import Ablation
from vrpo_theory.reproduce.exhibits.table3.quartiles import spread
from vrpo_theory.reproduce.exhibits.table3.study import HALF
from vrpo_theory.reproduce.paper import configurations, tables
from vrpo_theory.reproduce.report import configuration
from vrpo_theory.reproduce.series import points, printed
from vrpo_theory.reproduce.summary import over_pairs, ratio_of_means
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.reproduce.words import in_words
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import clear_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.reproduce.exhibits.table3.ablation import Measured

UNITS = {"var_score": "nats^2", "var_loss": "nats^2", "bias_loss": "nats", "var_gradient": "squared norm",
         "var_gradient_loo": "squared norm", "dtype_token": "nats", "dtype_score": "nats"}  # fmt: skip
MEASURED = ("var_score", "var_loss", "var_gradient")
"""Rows of the printed table that need no training."""
PAPER = "paper (8B)"
CERTAIN = 3.0
"""Standard errors, or the same tail of Student's t, by which an estimate must clear 1 before its sign is judged."""


def compute(context: Context) -> list[Cell]:
    """Per model: the measured rows, each with its ratios to base; then the rows that need training."""
    from vrpo_theory.reproduce.exhibits.table3 import ablation
    from vrpo_theory.runs import ranks

    printed = configurations()
    cells = []
    for model, cases in context.cases.items():
        found = ranks.gathered(lambda part: ablation.rows(part, printed, context), cases, ablation.merged)
        for measured in [*found, *ablation.dtype_rows(cases, printed[0], context)]:
            cells += _row(measured, model, context)
        cells += _training_rows(printed, model)
    return cells


def _ablation_table() -> Document:
    ablation: Document = tables()["table2_ablation"]
    return ablation


def _column(model: str, scheme: Scheme) -> Document:
    return {"model": model, **configuration(scheme)}


def _row(measured: Measured, model: str, context: Context) -> list[Cell]:
    """A row and, beneath it, its ratios to the base column (the first) and, at real scale, its spread over pairs."""
    printed = _ablation_table()["rows"].get(measured.row)
    base = next(iter(measured.values.values()))
    values: list[Cell] = []
    ratios: list[Cell] = []
    spreads: list[Cell] = []
    for k, (c, estimates) in enumerate(measured.values.items()):
        about: Document = {"column": _column(model, c), "n": measured.n, "method": measured.method}
        numbers = _value(measured, c, context) | {"paper": None if printed is None else printed[k]}
        values.append(Cell(measured.row, **numbers, unit=UNITS[measured.row], **about))
        if printed is not None:
            ratio = ratio_of_means(estimates, base, context.seed, measured.remark)
            verdict = order(ratio, printed[k], printed[0], exact=measured.method == "exact")
            paper = printed[k] / printed[0]
            ratios.append(Cell(f"{measured.row}_ratio", **ratio, paper=paper, verdict=verdict, **about))
            if context.scale == "real":
                spreads += spread(measured.row, estimates, context.seed, unit=UNITS[measured.row], **about)
    return values + ratios + spreads


def _value(measured: Measured, c: Scheme, context: Context) -> Document:
    """The mean over pairs, and what is predicted of it."""
    estimates, expected = measured.values[c], measured.predicted.get(c)
    empty = {"value": None, "note": measured.remark}
    summary = over_pairs(estimates, context.seed, measured.remark) if estimates else empty
    return summary | {"predicted": sum(expected) / len(expected) if expected else None}


def order(ratio: Fields, printed: float, printed_base: float, *, exact: bool) -> str | None:
    """Whether value - base has the paper's sign; across scales nothing more can be asked.

    Null where there is no ratio. An exact ratio is judged as it stands; an estimate needs an error that it clears.
    """
    if printed == printed_base or ratio["value"] is None:
        return None  # the base itself, a printed tie, or 0/0
    found = Estimate(ratio["value"], ratio["stderr"], df=ratio["df"])
    if not exact and (found.stderr is None or not clear_of(found, 1.0, CERTAIN)):
        return "inconclusive"
    return "order holds" if (found.value - 1) * (printed - printed_base) > 0 else "order fails"


def _training_rows(printed: Sequence[Scheme], model: str) -> list[Cell]:
    return [
        Cell(row, _column(model, c), None, method="paper", paper=number, note="not reproduced: needs training")
        for row, numbers in _ablation_table()["rows"].items()
        if row not in MEASURED
        for c, number in zip(printed, numbers, strict=True)
    ]


def _beyond_records(context: Context) -> list[str]:
    rows = ["variances of the gradient"] * (context.own.gradient != "none")
    return rows + ["deviations from float32"] * (context.dtype in HALF)


def plot(cells: Cells) -> Figure:
    """Ratios to base, one panel per row: the paper's beside each model's."""
    figure, axes = plotting.panels(len(MEASURED))
    for ax, row in zip(axes, MEASURED, strict=True):
        part = [c for c in cells if c["row"] == f"{row}_ratio"]
        series = {PAPER: printed(part)} | points(part, lambda column: column["model"])
        plotting.grouped_dots(ax, series, title=in_words(row), ylabel="ratio to base", hollow=[PAPER])
    return figure


exhibit(
    Exhibit(
        name="table3",
        aliases=("table2",),
        title="VRPO ablation: estimator variances",
        paper_ref="2505.19223v2, Table 2 (the ablation)",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("toy LLaDA", "markov")),
        scales=("toy", "real"),
        options=Ablation,
        beyond_records=_beyond_records,
    )
)
