"""Training loss by configuration, raw and smoothed: budgets and splits, and masks shared or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.numerics import mean_estimate
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import joined
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.start import excess
from vrpo_theory.reproduce.trained.study import Regime, TrainingStudy
from vrpo_theory.types import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "budgets and splits": ("1x1", "1x4", "2x2", "4x1", "8x1"),
    "shared or not": ("1x1", "4x1", "1x1 apart", "4x1 apart"),
}
ARMS = tuple(dict.fromkeys(arm for arms in PANELS.values() for arm in arms))
KEPT = 0.3
"""Weight of the newest loss in the moving average."""
CLAIMS = (("1x1 apart", "1x1", 1), ("4x1 apart", "4x1", 1), ("8x1", "1x1", -1))
"""Whose loss jumps more from step to step, and the figure's sign."""


def compute(context: Context) -> list[Cell]:
    """Losses of one seed, step by step; over all seeds, where they start and how much they jump."""
    if context.own.scale != "toy":
        return list(_elsewhere(Harness(context.own.runs, context.own.scale)))
    study = TrainingStudy(context)
    return [cell for regime in study.size.regimes for cell in _regime(study, regime)]


def _regime(study: TrainingStudy, regime: Regime) -> Iterator[Cell]:
    found = {arm: np.array([run.losses for run in study.runs(study.arms(regime, arm))]) for arm in ARMS}
    for arm, losses in found.items():
        yield from _curve(regime.name, arm, losses[0])
    for arm in ARMS:
        yield _start(study, regime, arm, found[arm])
    for arm, base, sign in CLAIMS:
        yield _jumps(regime, arm, base, sign, found)


def _curve(label: str, arm: str, losses: NDArray[np.float64]) -> Iterator[Cell]:
    for row, values in (("loss", losses), ("loss, smoothed", smoothed(losses))):
        for step, value in enumerate(values.tolist()):
            yield Cell(row, {"model": label, "arm": arm, "step": step}, value, method="mc", unit="nats")


def smoothed(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential moving average that starts at the first loss."""
    found = losses.copy()
    for k in range(1, len(found)):
        found[k] = KEPT * losses[k] + (1 - KEPT) * found[k - 1]
    return found


def _start(study: TrainingStudy, regime: Regime, arm: str, losses: NDArray[np.float64]) -> Cell:
    """Step 0, where policy and reference are one model: ln 2 if they share masks."""
    first = mean_estimate(losses[:, 0])
    return Cell(
        "loss at step 0", {"model": regime.name, "arm": arm}, first.value, first.stderr, df=first.df, method="mc",
        unit="nats", n=len(losses), predicted=math.log(2) + excess(study, regime, arm), note=first.note,
    )  # fmt: skip


def _jumps(regime: Regime, arm: str, base: str, sign: int, found: Mapping[str, NDArray[np.float64]]) -> Cell:
    """Log of the ratio of the losses' mean absolute changes from step to step, seed by seed."""
    ours, theirs = (np.log(np.abs(np.diff(found[name], axis=1)).mean(1)) for name in (arm, base))
    apart = mean_estimate(ours - theirs)
    about = {"method": "mc", "n": len(ours), "unit": "log of a ratio"}
    row, column = f"jumps, over those of {base}", {"model": regime.name, "arm": arm}
    if apart.stderr is None:
        return Cell(row, column, apart.value, note=apart.note, **about)  # type: ignore[arg-type]
    verdict = paired.judged(Estimate(apart.value, apart.stderr, df=apart.df), sign, margin=0.0)
    return Cell(
        row, column, apart.value, apart.stderr, df=apart.df, interval=verdict.interval, verdict=verdict.word,
        note=joined("mean |change| from step to step", verdict.note), **about,  # type: ignore[arg-type]
    )  # fmt: skip


def _elsewhere(runs: Harness) -> Iterator[Cell]:
    for arm in ARMS:
        losses = [row["loss"] for row in runs.losses(arm) if row.get("loss") is not None]
        if losses:
            yield from _curve(runs.label, arm, np.array(losses))


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Both panels of every regime: smoothed losses by step."""
    part = [c for c in cells if c["row"] == "loss, smoothed"]
    labels = list(dict.fromkeys(c["column"]["model"] for c in part))
    figure, axes = plotting.panels(len(PANELS) * len(labels))
    places = [(label, title, arms) for label in labels for title, arms in PANELS.items()]
    for ax, (label, title, arms) in zip(axes, places, strict=True):
        shown = [c for c in part if c["column"]["model"] == label and c["column"]["arm"] in arms]
        series = lines(shown, lambda column: column["arm"], "step")
        plotting.curves(
            ax, series, title=f"{label}: {title}", xlabel="step", ylabel="loss, nats", xscale="linear", yscale="linear"
        )
    return figure


exhibit(
    Exhibit(
        name="figure5",
        title="Training loss by configuration",
        paper_ref="2505.19223v2, Figure 5",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
