"""The pilot: a few masks of every response, and the profile estimated from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo
from vrpo_theory.couplings import Draw
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.numerics import total
from vrpo_theory.planning.components import components
from vrpo_theory.planning.fit import fit_profile
from vrpo_theory.randomness import PILOT
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, SIDES, Budget, Case, Profile, Side, by_models
from vrpo_theory.weightings.base import Weighting

Array = NDArray[np.float64]

SIZE = 8
"""Masks of one group: as many as one estimate has, so that weights which join masks can be tried on it.

A group's draws do not depend on the budget, the target or the size of the pilot, so one pilot serves every plan.
"""
SCHEME = Scheme(PowerStrata(), budget=Budget(SIZE))
"""One group of a pilot; groups are drawn in turn."""


@dataclass(frozen=True, eq=False)
class Group:
    """One group's evaluations of one response.

    Parameters
    ----------
    draw : Draw
    terms : (n, L, 2) float
        Token terms under policy and reference, in nats.
    """

    draw: Draw
    terms: Array

    def estimate(self, weighting: Weighting) -> float:
        """The response's part of the margin, in nats."""
        if weighting not in self._known:
            difference = self.terms @ np.array(self.draw.contrast.coefficients)
            self._known[weighting] = total(weighting.weights(self.draw.masks) * difference)
        return self._known[weighting]

    @cached_property
    def _known(self) -> dict[Weighting, float]:
        return {}


@dataclass(frozen=True, eq=False)
class Sample:
    """Pilot evaluations of one response, or of one block of it, in independent groups."""

    groups: Sequence[Group]

    @property
    def length(self) -> int:
        """L."""
        return int(self.groups[0].terms.shape[1])

    @cached_property
    def rounding(self) -> float:
        """Variance of (L/l) S that single precision cannot tell from none, nats squared."""
        level, sums = self._sums()
        return float(np.finfo(np.float32).eps ** 2 * np.mean((sums * self.length / level[:, None]) ** 2))

    def without(self, left_out: Collection[int]) -> Sample:
        """The sample less some of its groups."""
        return Sample([group for g, group in enumerate(self.groups) if g not in left_out])

    def profile(self) -> Profile:
        """Smooth estimate of the profile, see `fit_profile`."""
        return fit_profile(*self._sums(), self.length)

    def components(self) -> Array:
        """Variance components of the response's terms in the margin, see `vrpo_theory.planning.components`."""
        mask = np.concatenate([group.draw.masks.mask for group in self.groups])
        terms = np.concatenate([group.terms @ np.array(group.draw.contrast.coefficients) for group in self.groups])
        return components(mask, terms)

    def _sums(self) -> tuple[Array, Array]:
        """Counts (N,) and masked sums (N, 2) of all masks."""
        level = np.concatenate([group.draw.masks.level for group in self.groups])
        return level, np.concatenate([group.terms.sum(1) for group in self.groups])


@dataclass(frozen=True, eq=False)
class Pilot:
    """Samples of both responses of every pair: one each, or one for every block."""

    samples: Sequence[Mapping[Side, Sequence[Sample]]]

    @property
    def size(self) -> int:
        """Masks of a group."""
        return len(self.samples[0]["chosen"][0].groups[0].draw.masks.mask)

    @property
    def groups(self) -> int:
        """Independent groups of every response."""
        return len(self.samples[0]["chosen"][0].groups)

    @property
    def evaluations(self) -> int:
        """Forward passes per response and model."""
        return self.size * self.groups

    @property
    def longest(self) -> int:
        """Tokens of the longest response, or block."""
        return max(sample.length for pair in self.by_pair() for sample in pair)

    @cached_property
    def rounding(self) -> Array:
        """Variance of each pair's margin that is only rounding, nats squared."""
        return np.array([sum(sample.rounding for sample in pair) for pair in self.by_pair()])

    def by_pair(self) -> list[list[Sample]]:
        """The samples of each pair's two responses together."""
        return [[sample for side in SIDES for sample in pair[side]] for pair in self.samples]

    def without(self, left_out: Collection[int]) -> Pilot:
        """The pilot without some groups of every response."""
        return Pilot([{s: [x.without(left_out) for x in parts] for s, parts in p.items()} for p in self.samples])

    def profiles(self) -> list[dict[Side, list[Profile]]]:
        """Estimated profiles, pair by pair."""
        return [{side: [x.profile() for x in parts] for side, parts in pair.items()} for pair in self.samples]


def group_count(evaluations: int) -> int:
    """Number of groups of a pilot of ``evaluations`` masks per response; at least two.

    Raises
    ------
    ValueError
        For no evaluation.
    """
    if evaluations < 1:
        raise ValueError(f"a pilot of {evaluations} evaluations: give a multiple of {SIZE}, at least {2 * SIZE}")
    return max(2, evaluations // SIZE)


def forward_passes(cases: Sequence[Case], evaluations: int) -> int:
    """How many sequences `run_pilot` evaluates, for a progress bar."""
    return len(ROLES) * sum(case.part_count for case in cases) * group_count(evaluations) * SIZE


def run_pilot(
    cases: Sequence[Case],
    evaluations: int = 64,
    *,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> Pilot:
    """Evaluate a pilot: power strata, masks shared by policy and reference, in independent groups.

    A larger pilot holds the groups of a smaller one: with recorded models only the rest is evaluated.

    Parameters
    ----------
    evaluations : int
        Masks per response, rounded down to whole groups of `SIZE`, but two groups at least.

    Raises
    ------
    ValueError
        For no evaluation.
    """
    groups = group_count(evaluations)
    drawn = [SCHEME.draw(case, seed=seed, repeat=PILOT, group=group) for case in cases for group in range(groups)]
    terms = _terms([case for case in cases for _ in range(groups)], drawn, batch_tokens, progress)
    kept = [
        [Group(draw, values) for draw, values in zip(*both, strict=True)] for both in zip(drawn, terms, strict=True)
    ]
    pairs = [kept[start : start + groups] for start in range(0, len(kept), groups)]
    return Pilot([_samples(pair) for pair in pairs])


def _samples(groups: Sequence[Sequence[Group]]) -> dict[Side, list[Sample]]:
    """A pair's groups, each of all parts of both sides, as the samples of each side."""
    parts = [Sample(group) for group in zip(*groups, strict=True)]
    return {side: [x for x in parts if x.groups[0].draw.contrast.side == side] for side in SIDES}


def _terms(
    cases: Sequence[Case],
    drawn: Sequence[Sequence[Draw]],
    batch_tokens: int,
    progress: elbo.Progress | None,
) -> list[list[Array]]:
    """Token terms (n, L, 2) of every draw, all rows of the same two models in one sweep."""
    out: list[list[Array]] = [[np.empty(0)] * len(row) for row in drawn]
    for rows in by_models(cases):
        places = [(k, j) for k in rows for j in range(len(drawn[k]))]
        requests = [(drawn[k][j].response, drawn[k][j].masks.mask) for k, j in places]
        models = [cases[rows[0]].policy, cases[rows[0]].reference]
        with elbo.naming(cases):
            policy, reference = elbo.sweep(requests, models, batch_tokens=batch_tokens, progress=progress)
        for (k, j), p, r in zip(places, policy, reference, strict=True):
            out[k][j] = np.stack([p, r], axis=2)
    return out
