"""Spending the same passes by pair: n in proportion to slope times deviation, against n = 8 for every pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.numerics import mean_estimate, sample_variance, total
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.trained.noise import Noise, between_pairs, looked_at, noises
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.study import TrainingStudy
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.types import Budget, Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

LEAST, PILOTS = 2, 32
"""Masks that every pair gets, so that it can be weighed at its next visit; pilots that are tried."""
ONE = Scheme(budget=Budget(1))
NOTES = {
    "uniform": "n = 8 for every pair",
    "slope x sd of gradient": "the best weights, known exactly: no rule spends passes better",
    "slope x sd of score": "exact weights from the score alone, which needs no gradient",
    "pilot": "weights as training has them: an earlier visit's score and its variance, from 8 masks",
    "floor": "between pairs: what no number of masks removes",
}


def compute(context: Context) -> list[Cell]:
    """By saved step: the gradient's variance at equal passes, by rule, and what remains of it."""
    study = TrainingStudy(context)
    run, steps = looked_at(study)
    return [cell for step in steps for cell in _step(study, noises(study, run, step), step)]


def _step(study: TrainingStudy, found: Sequence[Noise], step: int) -> Iterator[Cell]:
    """Variances of one pair's gradient, means over pairs: a batch of B pairs has 1/B of each."""
    spent = _Spent(found, study.context.beta)
    pairs = between_pairs(found)
    uniform = spent.variance(np.full(len(found), VRPO.budget.n_t))
    yield _cell(step, "floor", Estimate(pairs), None)
    for rule, variance in _rules(spent, study.context.seed, uniform):
        yield _cell(step, rule, variance, None)
        gain = Estimate((variance.value + pairs) / (uniform + pairs))
        yield _cell(step, rule, gain, "whole variance over uniform's")


def _rules(spent: _Spent, seed: int, uniform: float) -> Iterator[tuple[str, Estimate]]:
    yield "uniform", Estimate(uniform)
    yield "slope x sd of gradient", Estimate(spent.by(spent.gradient_weights))
    yield "slope x sd of score", Estimate(spent.by(spent.score_weights))
    yield "pilot", mean_estimate([spent.by(spent.pilot_weights(seed, k)) for k in range(PILOTS)])


class _Spent:
    """What masks leave of the gradient's variance, by how many each pair gets."""

    def __init__(self, found: Sequence[Noise], beta: float) -> None:
        self.found, self.beta = found, beta
        self.passes = VRPO.budget.n_t * len(found)
        self._known: dict[tuple[int, int], float] = {}

    def variance(self, n: NDArray[np.int64]) -> float:
        """Mean over pairs, exact at every n."""
        return total([self._of(k, int(masks)) for k, masks in enumerate(n)]) / len(n)

    def by(self, weights: Array) -> float:
        """The same where n is in proportion to weights."""
        from vrpo_theory.training.spending import allocate

        return self.variance(allocate(weights, self.passes, LEAST))

    @property
    def gradient_weights(self) -> Array:
        """Roots of the variances at one mask: slope and noise of the gradient in one."""
        return np.sqrt([self._of(k, 1) for k in range(len(self.found))])

    @property
    def score_weights(self) -> Array:
        variance = np.array([one.score_variance(ONE, self.beta) for one in self.found])
        return _weights(np.array([one.score(self.beta) for one in self.found]), variance)

    def pilot_weights(self, seed: int, number: int) -> Array:
        """From one draw of 8 masks a pair, as at an earlier visit."""
        from vrpo_theory.training import PairObjective

        cases = [one.answers for one in self.found]
        objective, numbered = PairObjective(beta=self.beta, seed=seed), [(number, case.pair) for case in cases]
        scored = objective.score(cases[0].policy, cases[0].reference, numbered)
        variance = np.array([float(sample_variance(one.blocks)) for one in scored])
        return _weights(np.array([one.score for one in scored]), variance)

    def _of(self, pair: int, n: int) -> float:
        if (pair, n) not in self._known:
            self._known[pair, n] = self.found[pair].gradient_variance(Scheme(budget=Budget(n)), self.beta)
        return self._known[pair, n]


def _weights(score: Array, variance: Array) -> Array:
    """|slope| times a deviation."""
    found: Array = np.abs(DPO.slope(score)) * np.sqrt(np.maximum(variance, 0))
    return found


def _cell(step: int, rule: str, found: Estimate, ratio: str | None) -> Cell:
    return Cell(
        ratio or "variance of a pair's gradient", {"rule": rule, "step": step},
        found.value, found.stderr, df=found.df, method="exact" if found.stderr is None else "mc",
        n=None if found.stderr is None else PILOTS, unit="" if ratio else "squared norm", note=NOTES[rule],
    )  # fmt: skip


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """By rule, against the step: what masks leave of the variance, and of the whole."""
    rows = list(dict.fromkeys(c["row"] for c in cells))
    figure, axes = plotting.panels(len(rows))
    for ax, row in zip(axes, rows, strict=True):
        series = lines([c for c in cells if c["row"] == row], lambda column: column["rule"], "step")
        plotting.curves(ax, series, title=row, xlabel="step", ylabel="", xscale="linear", yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="spend",
        title="Variance of the gradient where passes are spent by pair",
        paper_ref="beyond 2505.19223v2: its n = 8 for every pair",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
