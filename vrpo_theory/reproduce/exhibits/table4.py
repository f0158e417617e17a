"""Samplers: diffusion, low-confidence remasking and semi-autoregressive blocks, before and after VRPO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.series import models, points
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import compared, numbers
from vrpo_theory.reproduce.trained.scores import ALL
from vrpo_theory.reproduce.trained.study import START, TrainingStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.types import Estimate

POLICIES = {START: 0, "VRPO": 1}
"""And their columns in the paper's table."""
EOS, BLOCK = 16, 4
"""The toy's EOS, whose confidence is 0 (D.4), and the tokens of a block: half an answer."""
SAMPLERS = {
    "diffusion": "diffusion",
    "low_confidence": f"low_confidence(eos={EOS})",
    "semi_autoregressive": f"semi_autoregressive(eos={EOS}, block_length={BLOCK})",
}
"""By the names of the paper's table, from its least to its best."""


def compute(context: Context) -> list[Cell]:
    """Shares of right answers by policy and sampler, and each sampler against the one before."""
    if context.own.scale != "toy":
        return list(_elsewhere(Harness(context.own.runs, context.own.scale)))
    return list(_toys(TrainingStudy(context)))


def _toys(study: TrainingStudy) -> Iterator[Cell]:
    for policy in POLICIES:
        arms = [] if policy == START else study.arms(study.limited, policy)
        found = {name: study.right(arms, text) for name, text in SAMPLERS.items()}
        for name, right in found.items():
            yield Cell(f"right: {ALL}", _column(study.limited.name, policy, name), **numbers(paired.accuracy(right)))
        for before, name in pairwise(SAMPLERS):
            apart = paired.difference(found[name], found[before])
            yield _compared(study.limited.name, policy, name, before, apart)


def _elsewhere(scores: Harness) -> Iterator[Cell]:
    """Of folders ``reference-diffusion``, ``vrpo-low_confidence``, ..., a policy and a sampler each."""
    for policy, k in POLICIES.items():
        arms = {name: f"{policy}-{name}" for name in SAMPLERS if scores.has(f"{policy}-{name}")}
        for name, arm in arms.items():
            for task in scores.tasks:
                paper = _printed().get(task, {}).get(name)
                number = None if paper is None else paper[k] / 100
                about = numbers(scores.accuracy(arm, task)) | {"paper": number}
                yield Cell(f"right: {task}", _column(scores.label, policy, name), **about)
        for before, name in pairwise(arms):
            yield _compared(scores.label, policy, name, before, scores.difference(arms[name], arms[before], ALL))


def _compared(label: str, policy: str, name: str, before: str, apart: Estimate) -> Cell:
    k = POLICIES[policy]
    printed = [rows[name][k] - rows[before][k] for rows in _printed().values()]
    return compared(f"minus {before}", _column(label, policy, name), apart, printed)


def _printed() -> dict[str, dict[str, list[float]]]:
    rows: dict[str, dict[str, list[float]]] = tables()["table4_samplers"]["rows"]
    return rows


def _column(label: str, policy: str, sampler: str) -> dict[str, Any]:
    return {"model": label, "policy": policy, "sampler": sampler}


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel per regime: shares by sampler, one colour per policy."""
    part = [c for c in cells if c["row"] == f"right: {ALL}"]
    figure, axes = plotting.panels(len(models(part)))
    for ax, model in zip(axes, models(part), strict=True):
        shown = [c for c in part if c["column"]["model"] == model]
        series = points(shown, lambda column: column["policy"], lambda column: column["sampler"])
        plotting.grouped_dots(ax, series, title=model, ylabel="share right", yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="table4",
        title="Right answers by sampler, before and after VRPO",
        paper_ref="2505.19223v2, Table 4",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
