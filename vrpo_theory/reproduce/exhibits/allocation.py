"""How to spend n forward passes: variance of the score against n_yt at fixed n, shared or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.couplings import Coupling
from vrpo_theory.documents import Fields
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.enumerated import enumerable, tabulated
from vrpo_theory.reproduce.options import POOL, Pooled
from vrpo_theory.reproduce.report import configuration
from vrpo_theory.reproduce.series import lines, models
from vrpo_theory.reproduce.summary import over_pairs, ratio_of_means
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, SIDES, Budget, Case, Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGETS = (4, 16)
Variance = Callable[[Scheme], list[Estimate]]
"""Of the score, pair by pair."""


def splits(n: int) -> list[Scheme]:
    """Every way to write a power of two as n_t n_yt, all timesteps first, masks shared or not; VRPO's choice first."""
    budgets = [Budget(n >> k, 1 << k) for k in range(n.bit_length())]
    return [Scheme(budget=budget, coupling=Coupling(shared)) for shared in (True, False) for budget in budgets]


def compute(context: Context) -> list[Cell]:
    """Variances of the score, exact or from a pool, and their ratios to VRPO's choice: n_yt = 1, shared."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> list[Cell]:
    variance, method = (_exact if enumerable(cases, context) else _pooled)(model, cases, context)
    cells = []
    for n in BUDGETS:
        values = {scheme: variance(scheme) for scheme in splits(n)}
        base = next(iter(values.values()))
        for scheme, estimates in values.items():
            column = {"model": model, "n": n, **configuration(scheme)}
            cell = partial(Cell, column=column, method=method)
            cells.append(cell("var_score", **over_pairs(estimates, context.seed), unit="nats^2"))
            cells.append(cell("var_score_ratio", **ratio_of_means(estimates, base, context.seed)))
    return cells


def _exact(model: str, cases: Sequence[Case], context: Context) -> tuple[Variance, str]:
    from vrpo_theory import exact

    profiles = [exact.profiles(answer) for answer in tabulated(model, cases, context)]

    def variance(scheme: Scheme) -> list[Estimate]:
        return [Estimate(context.beta**2 * exact.margin_variance(p, scheme)) for p in profiles]

    return variance, "exact"


def _pooled(model: str, cases: Sequence[Case], context: Context) -> tuple[Variance, str]:
    """Of long responses: every split from one pool of evaluations per pair."""
    from vrpo_theory import sampling

    pool = context.own.pool or POOL
    with context.bar(model, len(ROLES) * len(SIDES) * pool.n * len(cases)) as progress:
        pools = sampling.draw_pools(
            cases, pool, seed=context.seed, batch_tokens=context.batch_tokens, progress=progress
        )

    def variance(scheme: Scheme) -> list[Estimate]:
        return [p.score_variance(scheme, context.beta) for p in pools]

    return variance, "pooled"


def plot(cells: Cells) -> Figure:
    """One panel per model: variance against n_yt, a line for each n and coupling."""
    part = [c for c in cells if c["row"] == "var_score"]
    figure, axes = plotting.panels(len(models(part)))
    for ax, model in zip(axes, models(part), strict=True):
        drawn = lines([c for c in part if c["column"]["model"] == model], _label, "n_yt")
        plotting.curves(
            ax, drawn, title=model, xlabel="masks per timestep, of n in all", ylabel="variance of the score, nats^2"
        )
        plotting.doublings(ax)
    return figure


def _label(column: Fields) -> str:
    return f"n = {column['n']}, {'shared' if column['shared'] else 'not shared'}"


exhibit(
    Exhibit(
        name="allocation",
        title="Variance of the score at a fixed budget n = n_t n_yt",
        paper_ref="2505.19223v2, Propositions 1 and 2",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=("rough table", "mid table", "markov", "toy LLaDA")),
        scales=("toy", "real"),
        options=Pooled,
    )
)
