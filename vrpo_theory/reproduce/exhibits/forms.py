"""Time form against count form: what the floor of t costs in variance, and what it costs in bias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vrpo_theory import plotting
from vrpo_theory.couplings import Contrast
from vrpo_theory.designs import DESIGNS, Design
from vrpo_theory.documents import Document
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.enumerated import tabulated
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import over_pairs, ratio_of_means
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements import lemma5, time_form
from vrpo_theory.types import Budget, Case, Estimate, Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOORS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
LENGTHS = (8, 64, 512, 4096)
BUDGET = Budget(8, 1)
INDEPENDENT = "independent tokens"
COUNT = {"form": "count"}
ONE_ROLE = Contrast("chosen", (1.0, 0.0))


def compute(context: Context) -> list[Cell]:
    """Independent tokens of one nat each at any length; then each model's pairs, exactly."""
    return [
        *_independent(),
        *(cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)),
    ]


def _time(floor: float) -> Document:
    return {"form": "time", "floor": floor}


def _designs() -> list[tuple[Document, Design]]:
    timed = [(_time(floor), DESIGNS["iid_time"](floor)) for floor in FLOORS]  # type: ignore[call-arg]
    return [(COUNT, DESIGNS["iid_count"]()), *timed]


def _independent() -> Iterator[Cell]:
    """Variance of one term ell, where the log-probability of every token is -1 whatever else is masked."""
    from vrpo_theory import exact

    for length in LENGTHS:
        cell = partial(Cell, "var_term", unit="nats^2", note="one term of the ELBO estimate, every token one nat")
        sums = np.repeat(-np.arange(length + 1.0)[:, None], 2, axis=1)
        profile = Profile(sums, np.zeros((length + 1, 2, 2)))
        moments = exact.contrast_moments(profile, ONE_ROLE)
        about = {"model": INDEPENDENT, "L": length}
        yield cell({**about, **COUNT}, lemma5.variance(moments, Budget(1, 1)))
        for floor in FLOORS:
            yield cell({**about, **_time(floor)}, float(time_form.independent_variance(np.ones(length), floor)))


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    """Variance of the score, its ratio to the count form's, and the bias that the floor brings."""
    from vrpo_theory import exact

    answers = tabulated(model, cases, context)
    profiles, margins = [exact.profiles(a) for a in answers], [exact.true_margin(a) for a in answers]
    base: list[Estimate] = []
    for form, design in _designs():
        moments = [exact.margin_moments(p, Scheme(design)) for p in profiles]
        variances = [Estimate(context.beta**2 * lemma5.variance(m, BUDGET)) for m in moments]
        bias = [Estimate(context.beta * (m.mean - true)) for m, true in zip(moments, margins, strict=True)]
        base, column = base or variances, {"model": model, **form}
        yield Cell("var_score", column, **over_pairs(variances, context.seed), unit="nats^2")
        yield Cell("var_score_ratio", column, **ratio_of_means(variances, base, context.seed))
        yield Cell("bias_score", column, **over_pairs(bias, context.seed), unit="nats")


def plot(cells: Cells) -> Figure:
    """Variance against the floor: relative to the count form on each model, and of independent tokens by length."""
    timed = [c for c in cells if c["column"]["form"] == "time"]
    models = lines([c for c in timed if c["row"] == "var_score_ratio"], lambda column: column["model"], "floor")
    lengths = lines([c for c in timed if c["row"] == "var_term"], lambda column: f"L = {column['L']}", "floor")
    figure, (left, right) = plotting.panels(2)
    plotting.curves(
        left,
        models,
        title="time form over count form",
        xlabel="floor of t",
        ylabel="ratio of variances",
        yscale="linear",
    )
    plotting.curves(
        right, lengths, title="independent tokens (count form: 0)", xlabel="floor of t", ylabel="variance, nats^2"
    )
    return figure


exhibit(
    Exhibit(
        name="forms",
        title="Time form against count form, by the floor of t",
        paper_ref="2505.19223v2, Eq. 12-15",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("rough table", "mid table", "markov", "toy LLaDA")),
        scales=("toy", "real"),
    )
)
