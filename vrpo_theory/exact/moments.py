"""Exact variance of the margin: profiles x a design's law x a coupling (layer 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.designs.base import Block, Design
from vrpo_theory.numerics import total
from vrpo_theory.types import Budget, Form, Moments, Profile, Side, combine
from vrpo_theory.weightings.base import Separable, Weighting
from vrpo_theory.weightings.plain import PLAIN

Profiles = Mapping[Side, Profile]


def contrast_moments(profile: Profile, contrast: Contrast, design: Design, weighting: Weighting = PLAIN) -> Moments:
    """Moments of one timestep's unbiased term for a contrast: mean, V_t and V_yt (2505.19223v2, Lemma 5).

    Raises
    ------
    ValueError
        If timesteps are not iid, so that no such components exist.
    """
    if not design.iid_timesteps:
        raise ValueError(f"{design.name}: timesteps are not iid, so V_t and V_yt do not apply; use margin_variance")
    (block,) = design.law(profile.length, Budget(1, 1))
    return Moments(*_block_moments(block, profile, contrast, design, weighting))


def margin_moments(profiles: Profiles, design: Design, coupling: Coupling, weighting: Weighting = PLAIN) -> Moments:
    """Moments of the margin of one timestep: the sum over independent contrasts."""
    return combine([contrast_moments(profiles[c.side], c, design, weighting) for c in coupling.contrasts])


def margin_variance(
    profiles: Profiles, design: Design, budget: Budget, coupling: Coupling, weighting: Weighting = PLAIN
) -> float:
    """Exact variance of the margin in nats squared, for any design that sees masks through their count.

    Raises
    ------
    ValueError
        For dependent masks or a non-separable weighting: those need the joint draws (`Design.joint`) or Monte Carlo.
    """
    parts = [
        _block_moments(block, profiles[contrast.side], contrast, design, weighting)
        for contrast in coupling.contrasts
        for block in design.law(profiles[contrast.side].length, budget)
    ]
    return total([between + within / budget.n_yt for _, between, within in parts])


def _block_moments(
    block: Block, profile: Profile, contrast: Contrast, design: Design, weighting: Weighting
) -> tuple[float, float, float]:
    """Mean of a block's share, variance of its conditional mean, mean conditional variance (one mask a level)."""
    if not (design.independent_masks and isinstance(weighting, Separable)):
        raise ValueError(
            f"{design.name} with {weighting.name} weights: the variance does not follow from profiles; "
            "enumerate joint draws or use Monte Carlo"
        )
    factor = weighting.scale(design.form, block.level, profile.length)
    sum_mean, sum_variance = _level_moments(design.form, block.level, profile, np.array(contrast.coefficients))
    level_mean, level_variance = factor * sum_mean, factor**2 * sum_variance
    conditional = (block.weight * level_mean).sum(1)
    mean = float(block.prob @ conditional)
    between = float(block.prob @ (conditional - mean) ** 2)
    within = float(block.prob @ (block.weight**2 * level_variance).sum(1))
    return mean, between, within


def _level_moments(
    form: Form, level: NDArray[np.float64], profile: Profile, coefficients: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance, given the level, of the masked sum of a contrast; shapes as ``level``."""
    mean = profile.mean @ coefficients
    variance = np.einsum("lij,i,j->l", profile.covariance, coefficients, coefficients)
    if form == "count":
        return mean[level.astype(int)], variance[level.astype(int)]
    count = _binomial(profile.length, level)
    first = count @ mean
    # Centred: the difference of second moments would lose what small variances are made of.
    second = (count * (variance + (mean - first[..., None]) ** 2)).sum(-1)
    return first, second


def _binomial(length: int, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(l | t) of the count l = 0..L when each token is masked with probability t; shape t.shape + (L + 1,)."""
    from scipy.stats import binom

    return binom.pmf(np.arange(length + 1), length, t[..., None])
