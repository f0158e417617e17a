"""What training buys: the reference, supervised training alone, naive DPO, VRPO, and two arms without noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import models, points
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import differences, only_printed, shares
from vrpo_theory.reproduce.trained.scores import sources
from vrpo_theory.reproduce.trained.study import CONTROL, EXACT, START

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE, COLUMNS = "table1_benchmarks", {START: 0, "naive DPO": 1, "VRPO": 2}
ARMS = (START, CONTROL, "naive DPO", "VRPO", *EXACT)
CLAIMS = (
    ("naive DPO", START), ("VRPO", START), ("VRPO", "naive DPO"), ("VRPO", CONTROL),
    ("noise-free", "VRPO"), ("exact likelihood", "noise-free"),
)  # fmt: skip
"""An arm and what it is held against; the last three are beyond the paper."""


def compute(context: Context) -> list[Cell]:
    """Shares of right answers by regime and task, and differences of arms on the same seeds and prompts."""
    cells: list[Cell] = []
    for scores in sources(context):
        cells += shares(scores, ARMS, TABLE, COLUMNS)
        cells += differences(scores, CLAIMS, TABLE, COLUMNS)
        cells += only_printed(TABLE, COLUMNS, scores.label)
    return cells


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel per regime: shares of right answers by task, one colour per arm."""
    part = [c for c in cells if c["row"].startswith("right")]
    figure, axes = plotting.panels(len(models(part)))
    for ax, model in zip(axes, models(part), strict=True):
        found = [{**c, "column": c["column"] | {"task": c["row"]}} for c in part if c["column"]["model"] == model]
        series = points(found, lambda column: column["arm"], lambda column: column["task"])
        plotting.grouped_dots(ax, series, title=model, ylabel="share right", yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="table1",
        title="Right answers of the reference, of naive DPO and of VRPO",
        paper_ref="2505.19223v2, Table 1",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
