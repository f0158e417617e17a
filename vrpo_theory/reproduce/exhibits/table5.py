"""What seeds move: VRPO on mask seeds crossed with data seeds, and the share of the spread that masks cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import SHARES, UNIT, compared, numbers
from vrpo_theory.reproduce.trained.scores import ALL
from vrpo_theory.reproduce.trained.seeds import spread
from vrpo_theory.reproduce.trained.study import START, TrainingStudy
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import combined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRINTED: dict[str, list[float]] = tables()["table5_seeds"]["rows"]
COLUMNS = (START, "mean", "sd", "95% low", "95% high")


def compute(context: Context) -> list[Cell]:
    """Mean, standard deviation and interval over seeds, and which seeds the spread comes from."""
    return list(_toys(TrainingStudy(context)) if context.own.scale == "toy" else _elsewhere(context))


def _toys(study: TrainingStudy) -> Iterator[Cell]:
    rows = study.grid(study.limited, "VRPO")
    found = study.right([arm for row in rows for arm in row]).reshape(len(rows), len(rows[0]), -1)
    start, label = study.right([]), study.limited.name
    yield from _summary(ALL, label, float(start.mean()), found.mean(2).ravel())
    gain = paired.difference(found.mean(1), start)
    yield compared(f"minus {START}", {"model": label, "over": "mean"}, gain, _gains())
    for part, estimate, interval, note in spread(found.mean(2)):
        about = numbers(estimate) | {"note": note, "interval": interval}
        yield Cell(part, {"model": label, "over": "seeds"}, **about, n=found[..., 0].size)


def _summary(task: str, label: str, start: float, values: NDArray[np.float64]) -> Iterator[Cell]:
    """As the paper's columns; the interval is Student's, as if all seeds were independent."""
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    half = paired.reach(Estimate(mean, sd / len(values) ** 0.5, df=len(values) - 1), paired.LEVEL / 2)
    shown = dict(zip(COLUMNS, (start, mean, sd, mean - half, mean + half), strict=True))
    printed = dict(zip(COLUMNS, PRINTED.get(task, ()), strict=False))
    for over, value in shown.items():
        yield Cell(
            f"right: {task}", {"model": label, "over": over}, value, method="mc", unit=UNIT, n=len(values),
            paper=printed[over] / 100 if printed else None,
        )  # fmt: skip


def _gains() -> list[float]:
    return [row[1] - row[0] for name, row in PRINTED.items() if name in SHARES]


def _elsewhere(context: Context) -> Iterator[Cell]:
    """Of folders ``vrpo-seed-0``, ``vrpo-seed-1``, ..., each with results of its own."""
    scores = Harness(context.own.runs, context.own.scale)
    arms = [f"vrpo-seed-{k}" for k in range(len(list(context.own.runs.iterdir()))) if scores.has(f"vrpo-seed-{k}")]
    if len(arms) < 2:
        return
    for task in scores.tasks:
        values = np.array([scores.accuracy(arm, task).value for arm in arms])
        yield from _summary(task, scores.label, scores.accuracy(START, task).value, values)
    parts = [scores.difference(arm, START, ALL) for arm in arms]
    mean = combined(float(np.mean([p.value for p in parts])), [(p, 1 / len(parts)) for p in parts])
    yield compared(f"minus {START}", {"model": scores.label, "over": "mean"}, mean, _gains())


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Mean and interval over seeds beside the reference, in every task."""
    part = [c for c in cells if c["row"].startswith("right")]
    tasks = list(dict.fromkeys(c["row"] for c in part))
    values = {(c["row"], c["column"]["over"]): c["value"] for c in part}
    figure, (ax,) = plotting.panels(1)
    series = {over: {task: (values[task, over], None) for task in tasks} for over in COLUMNS if over != "sd"}
    plotting.grouped_dots(ax, series, title="over seeds", ylabel=UNIT, yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="table5",
        title="Right answers over seeds, and the share of their variance that masks cause",
        paper_ref="2505.19223v2, Table 5",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
