"""The task rows of the ablation: right answers after training in each of the six configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import configurations
from vrpo_theory.reproduce.report import column_label, configuration
from vrpo_theory.reproduce.series import models, points
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import differences, shares
from vrpo_theory.reproduce.trained.scores import sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE = "table2_ablation"


def compute(context: Context) -> list[Cell]:
    """Shares of right answers by regime and task, and every configuration's difference from the base."""
    base, *others = arms = [column_label(configuration(scheme)) for scheme in configurations()]
    columns = {arm: k for k, arm in enumerate(arms)}
    cells: list[Cell] = []
    for scores in sources(context):
        cells += shares(scores, arms, TABLE, columns)
        cells += differences(scores, [(arm, base) for arm in others], TABLE, columns)
    return cells


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Differences from the base configuration, one colour per regime, the paper's mean beside."""
    part = [c for c in cells if c["row"].startswith("minus")]
    figure, (ax,) = plotting.panels(1)
    series = points(part, lambda column: column["model"], lambda column: column["arm"])
    paper = {c["column"]["arm"]: (c["paper"], None) for c in part if c["column"]["model"] == models(part)[0]}
    shown = {"paper, mean of benchmarks": paper} | series
    plotting.grouped_dots(ax, shown, title="against (4, 1)", ylabel="difference of shares right", yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="table3_tasks",
        title="Right answers in the ablation's six configurations",
        paper_ref="2505.19223v2, Table 2 (the ablation), task rows",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
