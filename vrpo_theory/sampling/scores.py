"""ELBO, score and loss by Monte Carlo, with standard errors from iid timesteps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo, functionals, preference
from vrpo_theory.couplings import Coupling, Draw
from vrpo_theory.designs.base import Design
from vrpo_theory.numerics import sample_variance, sigmoid, sum_of_means, total
from vrpo_theory.types import ROLES, Budget, Case, Estimate, Moments, Role, Side, combine
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN

Drawn = tuple[Sequence[Draw], Sequence[NDArray[np.float64]]]
"""Masks of every contrast, and each mask's addends of the two models' ELBOs."""


@dataclass(frozen=True)
class ScoreEstimate:
    """One Monte Carlo estimate of a pair's score.

    Parameters
    ----------
    elbo : mapping from (role, side) to Estimate
        B_hat in nats.
    margin : Estimate
        The margin in nats, without beta.
    moments : Moments
        Mean of the margin and its variance components, unclipped; components that the draws do not identify are None.
    beta : float
    blocks : (m,) float
        Scores of the independent blocks (timesteps or groups) whose mean is the score.
    """

    elbo: Mapping[tuple[Role, Side], Estimate]
    margin: Estimate
    moments: Moments
    beta: float
    blocks: NDArray[np.float64]

    @property
    def score(self) -> Estimate:
        """beta times the margin."""
        error = None if self.margin.stderr is None else self.beta * self.margin.stderr
        return replace(self.margin, value=self.beta * self.margin.value, stderr=error)

    @property
    def loss(self) -> Estimate:
        """Plug-in DPO loss, its error by the delta method (biased up by about q(1 - q) V / 2)."""
        score = self.score
        error = None if score.stderr is None else float(sigmoid(-score.value)) * score.stderr
        return replace(score, value=float(preference.loss(score.value)), stderr=error)

    def loss_by(self, estimator: str) -> float:
        """DPO loss by an estimator of `vrpo_theory.functionals`; ValueError if blocks are too few for it."""
        return functionals.value(estimator, preference.loss, self.blocks)


def estimate_scores(
    cases: Sequence[Case],
    design: Design,
    budget: Budget,
    coupling: Coupling,
    *,
    seed: int,
    weighting: Weighting = PLAIN,
    beta: float = preference.BETA,
    groups: int = 1,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[ScoreEstimate]:
    """Estimate every case's score once, all masks in one stream of batches.

    Parameters
    ----------
    groups : int
        Independent estimates, each of the whole budget, whose mean is taken. Two or more give a standard error for any
        design and weighting; one gives it for iid timesteps and separable weights only. Chosen and rejected are
        independent, so each gives its own spread: two groups have up to two degrees of freedom, not one. The errors are
        right in the mean square: over 300 seeds of a Markov pair (L = 16, two-way weights, 4 groups) their root mean
        square is 0.98 to 1.00 of the spread, +- 0.04; but with so few groups most single ones are low, by 10% at the
        median.

    Raises
    ------
    ValueError
        If the weights are biased under the design, or ``beta`` is negative or not finite.
    """
    preference.require_beta(beta)
    weighting.check(design)
    rows = [
        (case, coupling.draw(case.pair, design, budget, seed=seed, group=group))
        for case in cases
        for group in range(groups)
    ]
    addends = preference.contributions(
        [case for case, _ in rows], [draws for _, draws in rows], weighting, batch_tokens=batch_tokens,
        progress=progress,
    )  # fmt: skip
    study = _Study(design, budget, coupling, weighting)
    drawn = [(draws, values) for (_, draws), values in zip(rows, addends, strict=True)]
    return [study.summary(drawn[start : start + groups], beta) for start in range(0, len(drawn), groups)]


def replicate(
    case: Case,
    design: Design,
    budget: Budget,
    coupling: Coupling,
    repeats: int,
    *,
    seed: int,
    weighting: Weighting = PLAIN,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Moments]:
    """Independent estimates of a case's margin: the mean and the variance components that each one sees.

    Raises
    ------
    ValueError
        If the weights are biased under the design.
    """
    weighting.check(design)
    draws = [coupling.draw(case.pair, design, budget, seed=seed, repeat=r) for r in range(repeats)]
    addends = preference.contributions([case] * repeats, draws, weighting, batch_tokens=batch_tokens, progress=progress)
    study = _Study(design, budget, coupling, weighting)
    return [study.moments(d, a) for d, a in zip(draws, addends, strict=True)]


def nested_moments(values: NDArray[np.float64], budget: Budget) -> Moments:
    """Unbiased V_t and V_yt by nested analysis of variance, not clipped at zero.

    Parameters
    ----------
    values : (n,) or (C, n) float
        Each mask's addend of the estimate, ordered by timestep; iid timesteps of n_yt masks each. Rows are contrasts
        that share their timesteps.

    Returns
    -------
    Moments
        v_mask is None for n_yt = 1, v_time for n_t = 1 or n_yt = 1 (the two are then not identifiable apart).
    """
    term = values.reshape(-1, budget.n_t, budget.n_yt) * budget.n
    v_mask = float(sample_variance(term, axis=2).mean(1).sum()) if budget.n_yt > 1 else None
    v_time = None if v_mask is None or budget.n_t == 1 else between(values, budget) - v_mask / budget.n_yt
    return Moments(total(values), v_time, v_mask)


def between(values: NDArray[np.float64], budget: Budget) -> float:
    """Sample variance of the terms of n_t > 1 timesteps: unbiased for V_t + V_yt / n_yt; ``values`` as above."""
    return float(sample_variance(values.reshape(-1, budget.n_t, budget.n_yt).sum((0, 2)) * budget.n_t))


@dataclass(frozen=True)
class _Study:
    """How estimates were drawn, and so what one of them says about its own error."""

    design: Design
    budget: Budget
    coupling: Coupling
    weighting: Weighting

    @property
    def iid(self) -> bool:
        """Whether timesteps are replicates of one another."""
        return self.design.iid_timesteps and self.weighting.separable

    @property
    def note(self) -> str:
        """Why one draw gives no standard error."""
        if not self.iid:
            return (
                f"{self.design.name} with {self.weighting.name} weights: no standard error from one draw; "
                "take two or more groups"
            )
        return "n_t = 1: one timestep gives no standard error; take n_t or groups of at least 2"

    def moments(self, draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> Moments:
        """Mean of the margin, and its components where timesteps are iid and their masks independent."""
        parts = self._parts(draws, addends)
        if not (self.iid and self.design.independent_masks):
            return Moments(total([part.sum() for part in parts]), None, None)
        return combine([nested_moments(part, self.budget) for part in parts])

    def summary(self, drawn: Sequence[Drawn], beta: float) -> ScoreEstimate:
        """One estimate of a pair's score, the mean of independent groups."""
        elbos: dict[tuple[Role, Side], Estimate] = {
            (role, draw.contrast.side): self._estimate([[addends[k][:, column]] for _, addends in drawn])
            for k, draw in enumerate(drawn[0][0])
            for column, role in enumerate(ROLES)
            if draw.contrast.coefficients[column]
        }
        margin = self._estimate([self._parts(draws, addends) for draws, addends in drawn])
        moments = _mean_moments([self.moments(draws, addends) for draws, addends in drawn], margin.value)
        blocks = [preference.block_scores(draws, addends, self.weighting, beta) for draws, addends in drawn]
        return ScoreEstimate(elbos, margin, moments, beta, np.concatenate(blocks))

    def _parts(self, draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Addends of the margin by independent group of contrasts, (C, n) each."""
        values = iter([preference.contrast_values(d, a) for d, a in zip(draws, addends, strict=True)])
        return [np.stack([next(values) for _ in group]) for group in self.coupling.groups]

    def _estimate(self, groups: Sequence[Sequence[NDArray[np.float64]]]) -> Estimate:
        """Mean over groups of a sum of independent parts.

        Its error is from what replicates each part: the timesteps of all groups where they are iid, else the groups.
        """
        parts = [np.concatenate([self._replicates(part) for part in column]) for column in zip(*groups, strict=True)]
        found = sum_of_means(parts)
        return found if found.stderr is not None else replace(found, note=self.note)

    def _replicates(self, part: NDArray[np.float64]) -> NDArray[np.float64]:
        """Independent unbiased values of one part, (m,), from one draw of it."""
        steps = self.budget.n_t if self.iid else 1
        terms = part.reshape(-1, steps, part.shape[-1] // steps)
        return terms.sum((0, 2)) * steps


def _mean_moments(found: Sequence[Moments], margin: float) -> Moments:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return total(known) / len(known) if len(known) == len(values) else None

    return Moments(margin, mean([m.v_time for m in found]), mean([m.v_mask for m in found]))
