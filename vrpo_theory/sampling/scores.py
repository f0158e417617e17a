"""ELBO, score and loss by Monte Carlo, with standard errors from iid timesteps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo, functionals, preference
from vrpo_theory.couplings import Contrast, Draw
from vrpo_theory.numerics import sample_variance, sigmoid, sum_of_means, total
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.types import ROLES, Budget, Case, Estimate, Moments, Role, Side, combine

Drawn = tuple[Sequence[Draw], Sequence[NDArray[np.float64]]]
"""Masks of every contrast's parts, and each mask's addends of the two models' ELBOs."""
Passes = Sequence[tuple[Contrast, NDArray[np.float64]]]
"""Of every contrast, each pass's addends of the two models' ELBOs, (n, 2)."""


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
    scheme: Scheme = VRPO,
    *,
    seed: int,
    beta: float = preference.BETA,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[ScoreEstimate]:
    """Estimate every case's score once, all masks in one stream of batches.

    Parameters
    ----------
    scheme : Scheme
        Two or more groups give a standard error for any design and weighting; one gives it for iid timesteps and
        separable weights only. Chosen and rejected are independent, so each gives its own spread: two groups have up
        to two degrees of freedom, not one. The errors are right in the mean square: over 300 seeds of a Markov pair
        (L = 16, two-way weights, 4 groups) their root mean square is 0.98 to 1.00 of the spread, +- 0.04; but with so
        few groups most single ones are low, by 10% at the median.

    Raises
    ------
    ValueError
        If ``beta`` is negative or not finite.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (found,) = estimate_scores([MODELS["tabular"].case(0, 3)], Scheme.parse("strata(), n_t=8, groups=256"), seed=0)
    >>> round(found.margin.value, 2), round(found.margin.stderr, 2)  # exactly: -0.38
    (-0.38, 0.03)
    """
    preference.require_beta(beta)
    drawn = _drawn([(case, 0) for case in cases], scheme, seed, batch_tokens, progress)
    return [_summary(scheme, groups, beta) for groups in drawn]


def replicate(
    case: Case,
    scheme: Scheme,
    repeats: int,
    *,
    seed: int,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Moments]:
    """Independent estimates of a case's margin: the mean and the variance components that each one sees.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> runs = replicate(MODELS["tabular"].case(0, 3), Scheme.parse("n_t=8"), 200, seed=0)
    >>> round(float(np.var([run.mean for run in runs], ddof=1)), 2)  # exactly: 0.32
    0.32
    """
    drawn = _drawn([(case, repeat) for repeat in range(repeats)], scheme, seed, batch_tokens, progress)
    return [_mean_moments([_moments(scheme, passes(*group)) for group in groups]) for groups in drawn]


def _drawn(
    jobs: Sequence[tuple[Case, int]], scheme: Scheme, seed: int, batch_tokens: int, progress: elbo.Progress | None
) -> list[list[Drawn]]:
    """Every group of every case and repeat, evaluated."""
    groups = range(scheme.groups)
    cases = [case for case, _ in jobs for _ in groups]
    draws = [scheme.draw(case, seed=seed, repeat=repeat, group=group) for case, repeat in jobs for group in groups]
    addends = preference.contributions(cases, draws, scheme.weighting, batch_tokens=batch_tokens, progress=progress)
    found: list[Drawn] = list(zip(draws, addends, strict=True))
    return [found[start : start + scheme.groups] for start in range(0, len(found), scheme.groups)]


def passes(draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> Passes:
    """A pass carries one mask of every part of a response: its addend is the sum of theirs."""
    pairs = zip(draws, addends, strict=True)
    return [
        (contrast, np.sum([addend for _, addend in parts], axis=0))
        for contrast, parts in groupby(pairs, lambda pair: pair[0].contrast)
    ]


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


def _moments(scheme: Scheme, found: Passes) -> Moments:
    """Mean of the margin, and its components where timesteps are iid and their masks independent."""
    parts = _parts(scheme, found)
    if not (scheme.iid and all(design.independent_masks for design in scheme.designs)):
        return Moments(total([part.sum() for part in parts]), None, None)
    return combine([nested_moments(part, scheme.budget) for part in parts])


def _mean_moments(found: Sequence[Moments]) -> Moments:
    def mean(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return total(known) / len(known) if len(known) == len(values) else None

    margin = total([m.mean for m in found]) / len(found)
    return Moments(margin, mean([m.v_time for m in found]), mean([m.v_mask for m in found]))


def _summary(scheme: Scheme, drawn: Sequence[Drawn], beta: float) -> ScoreEstimate:
    """One estimate of a pair's score, the mean of independent groups."""
    groups = [passes(draws, addends) for draws, addends in drawn]
    elbos: dict[tuple[Role, Side], Estimate] = {
        (role, contrast.side): _estimate(scheme, [[group[k][1][:, column]] for group in groups])
        for k, contrast in enumerate(scheme.coupling.contrasts)
        for column, role in enumerate(ROLES)
        if contrast.coefficients[column]
    }
    margin = _estimate(scheme, [_parts(scheme, group) for group in groups])
    moments = replace(_mean_moments([_moments(scheme, group) for group in groups]), mean=margin.value)
    blocks = [preference.block_scores(draws, addends, scheme.weighting, beta) for draws, addends in drawn]
    return ScoreEstimate(elbos, margin, moments, beta, np.concatenate(blocks))


def _parts(scheme: Scheme, found: Passes) -> list[NDArray[np.float64]]:
    """Addends of the margin by independent group of contrasts, (C, n) each."""
    values = iter([addend @ np.array(contrast.coefficients) for contrast, addend in found])
    return [np.stack([next(values) for _ in group]) for group in scheme.coupling.groups]


def _estimate(scheme: Scheme, groups: Sequence[Sequence[NDArray[np.float64]]]) -> Estimate:
    """Mean over groups of a sum of independent parts.

    Its error is from what replicates each part: the timesteps of all groups where they are iid, else the groups.
    """
    parts = [np.concatenate([_replicates(scheme, part) for part in column]) for column in zip(*groups, strict=True)]
    found = sum_of_means(parts)
    return found if found.stderr is not None else replace(found, note=_why_no_error(scheme))


def _replicates(scheme: Scheme, part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Independent unbiased values of one part, (m,), from one draw of it."""
    steps = scheme.budget.n_t if scheme.iid else 1
    terms = part.reshape(-1, steps, part.shape[-1] // steps)
    values: NDArray[np.float64] = terms.sum((0, 2)) * steps
    return values


def _why_no_error(scheme: Scheme) -> str:
    """Why one draw gives no standard error."""
    if not scheme.iid:
        return (
            f"{scheme.design.name} with {scheme.weighting.name} weights: no standard error from one draw; "
            "take two or more groups"
        )
    return "n_t = 1: one timestep gives no standard error; take n_t or groups of at least 2"
