"""Exact mean and variance of the margin: profiles x a design's law x a coupling (layer 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.designs.base import Block, Design
from vrpo_theory.numerics import total
from vrpo_theory.types import Budget, Moments, Profile, Side, combine
from vrpo_theory.weightings.base import Separable, Weighting
from vrpo_theory.weightings.plain import PLAIN

Profiles = Mapping[Side, Profile]
Array = NDArray[np.float64]


def contrast_moments(profile: Profile, contrast: Contrast, design: Design, weighting: Weighting = PLAIN) -> Moments:
    """Moments of one timestep's term for a contrast: mean, V_t and V_yt (2505.19223v2, Lemma 5).

    Raises
    ------
    ValueError
        If timesteps are not iid, so that no such components exist; or as `margin_variance`.
    """
    return _group_moments((contrast,), {contrast.side: profile}, design, weighting)


def margin_moments(profiles: Profiles, design: Design, coupling: Coupling, weighting: Weighting = PLAIN) -> Moments:
    """Moments of one timestep's term of the margin: the sum over independent groups of contrasts."""
    return combine([_group_moments(group, profiles, design, weighting) for group in coupling.groups])


def margin_mean(
    profiles: Profiles, design: Design, budget: Budget, coupling: Coupling, weighting: Weighting = PLAIN
) -> float:
    """Exact mean of the margin in nats, biased designs and dependent masks included.

    Raises
    ------
    ValueError
        For a weighting that is not separable; those keep plain weighting's mean wherever they are admitted.
    """
    parts = [
        _block_moments(block, profiles[contrast.side], contrast, design, _separable(weighting))[0]
        for contrast in coupling.contrasts
        for block in design.law(profiles[contrast.side].length, budget)
    ]
    return total(parts)


def margin_variance(
    profiles: Profiles, design: Design, budget: Budget, coupling: Coupling, weighting: Weighting = PLAIN
) -> float:
    """Exact variance of the margin in nats squared, for any design that sees masks through their count.

    Raises
    ------
    ValueError
        For dependent masks or a non-separable weighting: those need the joint draws (`Design.joint`) or Monte Carlo.
    """
    parts = [_components(blocks, group, profiles, design, weighting) for group, blocks in _laws(
        profiles, design, budget, coupling)]  # fmt: skip
    return total([between + within / budget.n_yt for _, between, within in parts])


def _laws(
    profiles: Profiles, design: Design, budget: Budget, coupling: Coupling
) -> list[tuple[tuple[Contrast, ...], tuple[Block, ...]]]:
    """Per group and timestep (or block of timesteps): the contrasts' blocks, side by side."""
    return [
        (group, blocks)
        for group in coupling.groups
        for blocks in zip(*_group_laws(group, profiles, design, budget), strict=True)
    ]


def _group_laws(
    group: Sequence[Contrast], profiles: Profiles, design: Design, budget: Budget
) -> list[tuple[Block, ...]]:
    lengths = [profiles[contrast.side].length for contrast in group]
    if design.form == "time":  # a law of t is a quadrature rule: the same one for both responses
        lengths = [max(lengths)] * len(lengths)
    return [design.law(length, budget) for length in lengths]


def _group_moments(group: Sequence[Contrast], profiles: Profiles, design: Design, weighting: Weighting) -> Moments:
    if not design.iid_timesteps:
        raise ValueError(f"{design.name}: timesteps are not iid, so V_t and V_yt do not apply; use margin_variance")
    blocks = [law[0] for law in _group_laws(group, profiles, design, Budget(1, 1))]
    return Moments(*_components(blocks, group, profiles, design, weighting))


def _components(
    blocks: Sequence[Block], group: Sequence[Contrast], profiles: Profiles, design: Design, weighting: Weighting
) -> tuple[float, float, float]:
    """Mean, variance of the conditional mean, mean conditional variance (one mask a level) of a group's share."""
    if not design.independent_masks:
        raise ValueError(
            f"{design.name}: masks depend on one another, so the variance does not follow from profiles; "
            "enumerate joint draws or use Monte Carlo"
        )
    plain = _separable(weighting)
    moments = [
        _block_moments(block, profiles[contrast.side], contrast, design, plain)
        for block, contrast in zip(blocks, group, strict=True)
    ]
    mean, between, within = (total(part) for part in zip(*moments, strict=True))
    if len(group) > 1:
        first, second = (
            _conditional_mean(block, profiles[contrast.side], contrast, design, plain)
            for block, contrast in zip(blocks, group, strict=True)
        )
        between += 2 * _covariance(blocks[0].prob, first, blocks[1].prob, second)
    return mean, between, within


def _block_moments(
    block: Block, profile: Profile, contrast: Contrast, design: Design, weighting: Separable
) -> tuple[float, float, float]:
    factor = weighting.scale(design.form, block.level, profile.length)
    mean, variance = _level_moments(block, profile, contrast, design)
    return block.moments(factor * mean, factor**2 * variance)


def _conditional_mean(
    block: Block, profile: Profile, contrast: Contrast, design: Design, weighting: Separable
) -> Array:
    """Mean of a block's share given its outcome, (Q,)."""
    if type(block) is not Block:
        raise ValueError(
            f"{design.name}: counts are not a function of shared uniforms; use levels_shared=False or Monte Carlo"
        )
    factor = weighting.scale(design.form, block.level, profile.length)
    return (block.weight * factor * _level_moments(block, profile, contrast, design)[0]).sum(1)


def _covariance(prob_x: Array, x: Array, prob_y: Array, y: Array) -> float:
    """Covariance of two step functions of one uniform, given by the widths of their steps and their values."""
    edge_x, edge_y = np.cumsum(prob_x), np.cumsum(prob_y)
    edge = np.unique(np.concatenate([edge_x[:-1], edge_y[:-1], [1.0]]))
    width = np.diff(edge, prepend=0.0)
    middle = edge - width / 2
    at_x, at_y = (
        v[np.minimum(np.searchsorted(e, middle, side="right"), len(v) - 1)] for e, v in ((edge_x, x), (edge_y, y))
    )
    return total(width * (at_x - prob_x @ x) * (at_y - prob_y @ y))


def _level_moments(block: Block, profile: Profile, contrast: Contrast, design: Design) -> tuple[Array, Array]:
    """Mean and variance, given the level, of the masked sum of a contrast, each (Q, J)."""
    c = np.array(contrast.coefficients)
    mean, variance = profile.mean @ c, np.einsum("lij,i,j->l", profile.covariance, c, c)
    if design.form == "count":
        count = block.drawn.astype(int)
        return mean[count], variance[count]
    chance = design.counts(block, profile.length)
    first = chance @ mean
    # Centred: the difference of second moments would lose what small variances are made of.
    return first, (chance * (variance + (mean - first[..., None]) ** 2)).sum(-1)


def _separable(weighting: Weighting) -> Separable:
    if not isinstance(weighting, Separable):
        raise ValueError(
            f"{weighting.name} weights join masks, so the variance does not follow from profiles; "
            "enumerate joint draws or use Monte Carlo"
        )
    return weighting
