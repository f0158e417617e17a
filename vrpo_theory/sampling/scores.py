"""ELBO, score and loss by Monte Carlo, with standard errors from iid timesteps (layer 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import elbo, preference
from vrpo_theory.couplings import Coupling, Draw
from vrpo_theory.designs.base import Design
from vrpo_theory.numerics import sigmoid, total
from vrpo_theory.types import ROLES, Budget, Case, Estimate, Moments, Role, Side, combine
from vrpo_theory.weightings.base import Weighting
from vrpo_theory.weightings.plain import PLAIN


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
        Mean of the margin and its variance components, unclipped; components that the draws cannot tell are None.
    beta : float
    """

    elbo: Mapping[tuple[Role, Side], Estimate]
    margin: Estimate
    moments: Moments
    beta: float

    @property
    def score(self) -> Estimate:
        """beta times the margin."""
        error = None if self.margin.stderr is None else self.beta * self.margin.stderr
        return Estimate(self.beta * self.margin.value, error, self.margin.note)

    @property
    def loss(self) -> Estimate:
        """Plug-in DPO loss, its error by the delta method (biased up by about q(1 - q) V / 2)."""
        score = self.score
        error = None if score.stderr is None else float(sigmoid(-score.value)) * score.stderr
        return Estimate(float(preference.loss(score.value)), error, score.note)


def estimate_scores(
    cases: Sequence[Case],
    design: Design,
    budget: Budget,
    coupling: Coupling,
    *,
    seed: int,
    weighting: Weighting = PLAIN,
    beta: float = preference.BETA,
    batch_tokens: int = elbo.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[ScoreEstimate]:
    """Estimate every case's score once, all masks in one stream of batches."""
    draws = [coupling.draw(case.pair, design, budget, seed=seed) for case in cases]
    addends = preference.contributions(cases, draws, weighting, batch_tokens=batch_tokens, progress=progress)
    note = _no_error(design, budget, weighting)
    return [_summary(d, a, budget, beta, note) for d, a in zip(draws, addends, strict=True)]


def replicate(
    case: Case,
    design: Design,
    budget: Budget,
    coupling: Coupling,
    repeats: int,
    *,
    seed: int,
    weighting: Weighting = PLAIN,
    batch_tokens: int = elbo.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Moments]:
    """Independent estimates of a case's margin: the mean and the variance components that each one sees."""
    draws = [coupling.draw(case.pair, design, budget, seed=seed, repeat=r) for r in range(repeats)]
    addends = preference.contributions([case] * repeats, draws, weighting, batch_tokens=batch_tokens, progress=progress)
    return [_margin_moments(d, a, budget) for d, a in zip(draws, addends, strict=True)]


def nested_moments(values: NDArray[np.float64], budget: Budget) -> Moments:
    """Unbiased V_t and V_yt by nested analysis of variance, not clipped at zero.

    Parameters
    ----------
    values : (n,) float
        Each mask's addend of the estimate, ordered by timestep; iid timesteps of n_yt masks each.

    Returns
    -------
    Moments
        v_mask is None for n_yt = 1, v_time for n_t = 1 or n_yt = 1 (the two are then not identifiable apart).
    """
    term = values.reshape(budget.n_t, budget.n_yt) * budget.n
    v_mask = float(term.var(axis=1, ddof=1).mean()) if budget.n_yt > 1 else None
    v_time = None if v_mask is None or budget.n_t == 1 else _between(values, budget) - v_mask / budget.n_yt
    return Moments(total(values), v_time, v_mask)


def _between(values: NDArray[np.float64], budget: Budget) -> float:
    """Sample variance of the terms of n_t > 1 timesteps: unbiased for V_t + V_yt / n_yt."""
    return float((values.reshape(budget.n_t, budget.n_yt).sum(1) * budget.n_t).var(ddof=1))


def _margin_moments(draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]], budget: Budget) -> Moments:
    values = [preference.contrast_values(d, a) for d, a in zip(draws, addends, strict=True)]
    return combine([nested_moments(v, budget) for v in values])


def _no_error(design: Design, budget: Budget, weighting: Weighting) -> str:
    """Why one draw gives no standard error; empty where it does."""
    if not (design.iid_timesteps and weighting.separable):
        return f"{design.name} with {weighting.name} weights: timesteps are not iid, no standard error from one draw"
    return "n_t = 1: one timestep gives no standard error" if budget.n_t == 1 else ""


def _estimate(parts: Sequence[NDArray[np.float64]], budget: Budget, note: str) -> Estimate:
    """Sum of independent parts, each the addends (n,) of one estimate, with the error that their timesteps show."""
    value = total([part.sum() for part in parts])
    if note:
        return Estimate(value, None, note)
    return Estimate(value, math.sqrt(total([_between(part, budget) for part in parts]) / budget.n_t))


def _summary(
    draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]], budget: Budget, beta: float, note: str
) -> ScoreEstimate:
    elbos: dict[tuple[Role, Side], Estimate] = {
        (role, draw.contrast.side): _estimate([addend[:, column]], budget, note)
        for draw, addend in zip(draws, addends, strict=True)
        for column, role in enumerate(ROLES)
        if draw.contrast.coefficients[column]
    }
    parts = [preference.contrast_values(d, a) for d, a in zip(draws, addends, strict=True)]
    return ScoreEstimate(elbos, _estimate(parts, budget, note), _margin_moments(draws, addends, budget), beta)
