"""What a budget buys: variance of the score against forward passes, under the naive way, VRPO's and the default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.couplings import Coupling
from vrpo_theory.documents import Fields
from vrpo_theory.numerics import variance_estimate
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.enumerated import tabulated
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.reproduce.series import lines, models
from vrpo_theory.reproduce.summary import over_pairs
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme, default_scheme
from vrpo_theory.types import Budget, Case, Estimate
from vrpo_theory.uncertainty import combined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.exact.moments import Profiles

PASSES = (1, 2, 4, 8, 16, 32)
REPEATS = 200
SCHEMES: dict[str, Callable[[int], Scheme]] = {
    "naive: masks not shared": lambda n: Scheme(budget=Budget(n), coupling=Coupling(shared=False)),
    "VRPO: masks shared": lambda n: Scheme(budget=Budget(n)),
    "this package's default": default_scheme,
}
"""By forward passes per response and model. The first two differ in the masks of policy and reference alone."""


def compute(context: Context) -> list[Cell]:
    """Mean over pairs: exact under plain weights, by replication under the default's, which join masks."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    answers = tabulated(model, cases, context)
    profiles, b2 = [exact.profiles(answer) for answer in answers], context.beta**2
    for name, make in SCHEMES.items():
        for n in context.track(PASSES, f"{model}, {name}"):
            scheme = make(n)
            exactly = scheme.weighting.separable
            found = _exact(profiles, scheme) if exactly else _sampled(answers, scheme, context)
            scores = [combined(b2 * e.value, [(e, b2)]) for e in found]
            about: dict[str, Any] = {
                "method": "exact" if exactly else "mc",
                "n": None if exactly else _repeats(context),
            }
            column = {"model": model, "scheme": name, "passes": n}
            yield Cell("var_score", column, **over_pairs(scores, context.seed), unit="nats^2", **about)


def _repeats(context: Context) -> int:
    return int(context.own.repeats or REPEATS)


def _exact(profiles: Sequence[Profiles], scheme: Scheme) -> list[Estimate]:
    from vrpo_theory import exact

    return [Estimate(exact.margin_variance(p, scheme)) for p in profiles]


def _sampled(answers: Sequence[Case], scheme: Scheme, context: Context) -> list[Estimate]:
    from vrpo_theory import sampling

    runs = (
        sampling.replicate(answer, scheme, _repeats(context), seed=context.seed, batch_tokens=context.batch_tokens)
        for answer in answers
    )
    return [variance_estimate([run.mean for run in found]) for found in runs]


def plot(cells: Cells) -> Figure:
    """One panel per model: variance against forward passes, a line for each way."""
    figure, axes = plotting.panels(len(models(cells)))
    for ax, model in zip(axes, models(cells), strict=True):
        drawn = lines([c for c in cells if c["column"]["model"] == model], _name, "passes")
        plotting.curves(
            ax, drawn, title=model, xlabel="forward passes per response and model",
            ylabel="variance of the score, nats^2",
        )  # fmt: skip
        plotting.doublings(ax)
    return figure


def _name(column: Fields) -> str:
    return str(column["scheme"])


exhibit(
    Exhibit(
        name="budget",
        title="Variance of the score against the budget",
        paper_ref="2505.19223v2, section 3.2, and beyond",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("toy LLaDA",)),
        scales=("toy", "real"),
        options=Repeated,
    )
)
