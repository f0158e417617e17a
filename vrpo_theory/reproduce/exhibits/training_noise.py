"""Noise along a run of VRPO: exact at saved weights, and as training itself estimates it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.numerics import mean_estimate, total
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.noise import ARM, Noise, between_pairs, looked_at, noises
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.study import SAMPLED, TrainingStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.training.arms import TrainedArm

UNITS = {"var_score": "nats^2", "var_loss": "nats^2", "var_gradient": "squared norm"}
BUDGETS = ("1x1", "4x1", "8x1")
"""Whose share of masks in the gradient's noise is shown."""
PANELS = ("var_score", "var_loss", "var_gradient", "share of masks")
MOST_PAIRS = 16
"""Of a step's batch, whose exact variances are computed."""
LOGGED = {"score_variance": "var_score, estimated in training", "mask_noise_share": "share of masks"}


def compute(context: Context) -> list[Cell]:
    """By saved step; of runs elsewhere, what their logs say."""
    if context.own.scale != "toy":
        return list(_logged(Harness(context.own.runs, context.own.scale)))
    return list(_toys(TrainingStudy(context)))


def _toys(study: TrainingStudy) -> Iterator[Cell]:
    run, steps = looked_at(study)
    for step in steps:
        found = noises(study, run, step)
        yield from _exact(step, found, study.context.beta)
        yield from _shares(step, found, study.context.beta)
    for step in run.arm.marks[1:-1]:
        yield _estimated(run, step, study.context.beta)


def _exact(step: int, found: Sequence[Noise], beta: float) -> Iterator[Cell]:
    """Means over held-out pairs, in every configuration."""
    for arm, scheme in SAMPLED.items():
        measures = {
            "var_score": [one.score_variance(scheme, beta) for one in found],
            "var_loss": [one.loss_variance(scheme, beta) for one in found],
            "var_gradient": [one.gradient_variance(scheme, beta) for one in found],
        }
        for row, values in measures.items():
            yield Cell(row, _column(arm, step), total(values) / len(values), unit=UNITS[row], n_pairs=len(values))


def _shares(step: int, found: Sequence[Noise], beta: float) -> Iterator[Cell]:
    """Of the gradient's variance: what masks cause, the rest being between pairs."""
    pairs = between_pairs(found)
    yield Cell("pair_noise", _column("any", step), pairs, unit="squared norm", n_pairs=len(found))
    for arm in BUDGETS:
        masks = total([one.gradient_variance(SAMPLED[arm], beta) for one in found]) / len(found)
        yield Cell("share of masks", _column(arm, step), masks / (masks + pairs), n_pairs=len(found))


def _estimated(run: TrainedArm, step: int, beta: float) -> Cell:
    """The variance that training estimates from its own masks at a saved step, beside the exact one of those pairs."""
    from vrpo_theory import exact
    from vrpo_theory.training.arms.objectives import BATCH_TOKENS

    scored = run.scored(step)[:MOST_PAIRS]
    answers = exact.tabulate([one.case for one in scored], batch_tokens=BATCH_TOKENS)
    truth = [beta**2 * exact.margin_variance(exact.profiles(answer), run.arm.scheme) for answer in answers]
    mean = mean_estimate([one.variance or 0.0 for one in scored])
    return Cell(
        LOGGED["score_variance"], _column(ARM, step), mean.value, mean.stderr, df=mean.df, method="mc",
        unit="nats^2", n_pairs=len(scored), predicted=total(truth) / len(truth),
    )  # fmt: skip


def _logged(runs: Harness) -> Iterator[Cell]:
    for arm in SAMPLED:
        for line in runs.losses(arm):
            for name, row in LOGGED.items():
                if line.get(name) is not None:
                    yield Cell(row, _column(arm, line["step"]), line[name], method="mc")


def _column(arm: str, step: int) -> dict[str, Any]:
    return {"arm": arm, "step": step}


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Against the step, by configuration: variance of the score, and the share of masks in the gradient's."""
    rows = [row for row in PANELS if any(c["row"] == row for c in cells)]
    figure, axes = plotting.panels(len(rows))
    for ax, row in zip(axes, rows, strict=True):
        series = lines([c for c in cells if c["row"] == row], lambda column: column["arm"], "step")
        plotting.curves(
            ax, series, title=row, xlabel="step", ylabel=UNITS.get(row, ""), xscale="linear", yscale="linear"
        )
    return figure


exhibit(
    Exhibit(
        name="training_noise",
        title="Noise of score, loss and gradient while VRPO trains",
        paper_ref="2505.19223v2, Table 2 and section 3.2, along a run",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
