"""Exact mean and variance of the margin: profiles x a design's law x a coupling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.couplings import Contrast
from vrpo_theory.exact.blocks import Blocks, chance, joined_laws
from vrpo_theory.exact.shared_levels import require_shared, shared_covariance
from vrpo_theory.numerics import total
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.types import SIDES, Budget, Moments, Profile, Side, combine, each
from vrpo_theory.weightings.base import Separable, Weighting

Profiles = Mapping[Side, Profile | Sequence[Profile]]
"""Of each response: one profile, or those of its blocks under block diffusion."""
Array = NDArray[np.float64]


def contrast_moments(profile: Profile, contrast: Contrast, scheme: Scheme = VRPO) -> Moments:
    """Moments of one timestep's term for a contrast: mean, V_t and V_yt (2505.19223v2, Lemma 5).

    Raises
    ------
    ValueError
        If timesteps are not iid, so that no such components exist; or as `margin_variance`.
    """
    return _timestep_moments([_View(profile, contrast, scheme)])


def margin_moments(profiles: Profiles, scheme: Scheme = VRPO) -> Moments:
    """Moments of one timestep's term of the margin, of one mask: the sum over independent groups of contrasts.

    Examples
    --------
    >>> from vrpo_theory import MODELS, profiles, tabulate
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> moments = margin_moments(profiles(answers))
    >>> round(moments.mean, 4), round(moments.v_time, 4), round(moments.v_mask, 4)
    (-0.3797, 1.0904, 1.4654)
    """
    return combine([_timestep_moments(views) for views in _groups(profiles, scheme)])


def margin_mean(profiles: Profiles, scheme: Scheme = VRPO, *, sides: Sequence[Side] = SIDES) -> float:
    """Exact mean of the margin in nats, biased designs and dependent masks included.

    Parameters
    ----------
    sides : sequence of "chosen", "rejected"
        One of them alone gives that response's part of the margin.

    Raises
    ------
    ValueError
        For a weighting that is not separable; those keep plain weighting's mean wherever they are admitted.
    """
    parts = []
    for view in (view for views in _groups(profiles, scheme, sides) for view in views):
        (blocks,) = joined_laws(view.design, (view.length,), scheme.budget)
        parts.append(blocks.times * blocks.moments(*view.terms(blocks))[0])
    return total(np.concatenate(parts))


def margin_variance(profiles: Profiles, scheme: Scheme = VRPO, *, sides: Sequence[Side] = SIDES) -> float:
    """Exact variance of the margin in nats squared, for any design that sees masks through their count.

    Parameters
    ----------
    sides : sequence of "chosen", "rejected"
        As in `margin_mean`.

    Raises
    ------
    ValueError
        For dependent masks or a non-separable weighting: those need the joint draws (`Design.joint`) or Monte Carlo.

    Examples
    --------
    >>> from vrpo_theory import MODELS, profiles, tabulate
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> round(margin_variance(profiles(answers)), 4)  # VRPO's choice: 8 masks
    0.3195
    >>> round(margin_variance(profiles(answers), Scheme.parse("power_strata(), n_t=8")), 4)
    0.2131
    """
    parts = []
    for views in _groups(profiles, scheme, sides):
        _, between, within = _components(_group_laws(views, scheme.budget), views)
        parts.append(between + within / scheme.budget.n_yt)
    return max(total(parts), 0.0) / scheme.groups  # covariances below 0 may leave rounding alone


def _groups(profiles: Profiles, scheme: Scheme, sides: Sequence[Side] = SIDES) -> Iterator[list[_View]]:
    """The independent parts of the margin: what shares its timesteps together, contrasts or blocks of a response."""
    for group in scheme.coupling.groups:
        views = [[_View(p, c, scheme) for p in each(profiles[c.side])] for c in group if c.side in sides]
        if scheme.coupling.levels_shared and views:
            yield [view for blocks in views for view in blocks]
        elif scheme.coupling.blocks_shared:
            yield from views
        else:
            yield from ([view] for blocks in views for view in blocks)


def _group_laws(views: Sequence[_View], budget: Budget) -> tuple[Blocks, ...]:
    design, lengths = views[0].design, tuple(view.length for view in views)
    if len(views) > 1:
        require_shared(design, views[0].blocks_shared)
    if design.form == "time":  # a law of t is a quadrature rule: the same one for both responses
        lengths = (max(lengths),) * len(lengths)
    return joined_laws(design, lengths, budget)


def _timestep_moments(views: Sequence[_View]) -> Moments:
    design = views[0].design
    if not design.iid_timesteps:
        raise ValueError(f"{design.name}: timesteps are not iid, so V_t and V_yt do not apply; use margin_variance")
    return Moments(*_components(_group_laws(views, Budget(1, 1)), views))


class _View:
    """One contrast of a response as a design and its weights see it."""

    def __init__(self, profile: Profile, contrast: Contrast, scheme: Scheme) -> None:
        c = np.array(contrast.coefficients)
        self.length, self.design = profile.length, scheme.design_of(contrast.side)
        self.blocks_shared = scheme.coupling.blocks_shared
        self.weighting = require_separable(scheme.weighting)
        self.mean = profile.mean @ c
        self.variance = np.einsum("lij,i,j->l", profile.covariance, c, c)

    def terms(self, blocks: Blocks) -> tuple[Array, Array]:
        """Mean and variance, given the level, of the weighted term of one mask, each (N, J)."""
        factor = self.weighting.scale(self.design.form, blocks.level, self.length)
        if self.design.form == "count":
            count = blocks.drawn.astype(int)
            return factor * self.mean[count], factor**2 * self.variance[count]
        prob = chance(self.design, blocks, self.length)
        first = prob @ self.mean
        # Centred: the difference of second moments would lose what small variances are made of.
        second = (prob * (self.variance + (self.mean - first[..., None]) ** 2)).sum(-1)
        return factor * first, factor**2 * second


def _components(laws: Sequence[Blocks], views: Sequence[_View]) -> tuple[float, float, float]:
    """Mean, variance of the conditional mean, mean conditional variance (one mask a level) of a group's share."""
    design = views[0].design
    if not design.independent_masks:
        raise ValueError(
            f"{design.name}: masks depend on one another, so the variance does not follow from profiles; "
            "enumerate joint draws or use Monte Carlo"
        )
    terms = [view.terms(blocks) for blocks, view in zip(laws, views, strict=True)]
    moments = [blocks.moments(*term) for blocks, term in zip(laws, terms, strict=True)]
    mean, between, within = (total(laws[0].times * part) for part in zip(*moments, strict=True))
    if len(views) > 1:
        between += 2 * shared_covariance(laws, [term[0] for term in terms], views[0].blocks_shared)
    return mean, between, within


def require_separable(weighting: Weighting) -> Separable:
    """The weights; ValueError where they join masks."""
    if not isinstance(weighting, Separable):
        raise ValueError(
            f"{weighting.name} weights join masks, so the variance does not follow from profiles; "
            "enumerate joint draws or use Monte Carlo"
        )
    return weighting
