"""The bars of Table 1, and one task against another for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.exhibits.table1 import ARMS, COLUMNS, TABLE
from vrpo_theory.reproduce.series import models
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import shares
from vrpo_theory.reproduce.trained.scores import ALL, sources
from vrpo_theory.reproduce.trained.study import NAMES, SAMPLED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = ("reference", "naive DPO", "VRPO")


def compute(context: Context) -> list[Cell]:
    """Table 1's arms and the ablation's, by task."""
    arms = [*ARMS, *(arm for arm in SAMPLED if arm not in NAMES.values())]
    return [cell for scores in sources(context) for cell in shares(scores, arms, TABLE, COLUMNS)]


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Per regime: the reference, naive DPO and VRPO by task; the first task against the last, an arm a point."""
    figure, axes = plotting.panels(2 * len(models(cells)))
    for k, model in enumerate(models(cells)):
        found = {(c["row"], c["column"]["arm"]): c for c in cells if c["column"]["model"] == model}
        tasks = list(dict.fromkeys(row for row, _ in found))
        bars = {arm: {task: _point(found, task, arm) for task in tasks} for arm in BARS if (tasks[0], arm) in found}
        plotting.grouped_dots(axes[2 * k], bars, title=model, ylabel="share right", yscale="linear")
        each = [task for task in tasks if task != f"right: {ALL}"]
        first, last = each[0], each[-1]
        points = {
            arm: ([found[first, arm]["value"]], [found[last, arm]["value"]], [None])
            for row, arm in found
            if row == first
        }
        plotting.curves(
            axes[2 * k + 1], points, title=model, xlabel=first, ylabel=last, xscale="linear", yscale="linear"
        )
    return figure


def _point(found: Mapping[Any, Mapping[str, Any]], task: str, arm: str) -> tuple[float | None, float | None]:
    cell = found.get((task, arm))
    return (cell["value"], cell["stderr"]) if cell else (None, None)


exhibit(
    Exhibit(
        name="figure1",
        title="Right answers by task: bars of Table 1, and all arms",
        paper_ref="2505.19223v2, Figure 1",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
