"""The pilot: a few masks of every response, and what they say of its profile (layer 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo
from vrpo_theory.couplings import Contrast, Coupling, Draw
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.types import SIDES, Budget, Case, Profile, Side

Array = NDArray[np.float64]

DESIGN, SHARED = PowerStrata(), Coupling(shared=True)
SET = 8
"""Most masks of one group: an estimate's worth, so that weights which join masks can be tried on it."""
REPEAT = -1
"""Where the pilot's draws live: no estimate has this repeat, so pilot draws never enter a later mean."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Pilot evaluations of one response.

    Parameters
    ----------
    draws : sequence of Draw
        A group each.
    terms : sequence of (n, L, 2) arrays
        Token terms under policy and reference, in nats.
    """

    draws: Sequence[Draw]
    terms: Sequence[Array]

    @property
    def length(self) -> int:
        """L."""
        return self.terms[0].shape[1]

    def without(self, group: int) -> Sample:
        """The sample less one group."""
        keep = [g for g in range(len(self.draws)) if g != group]
        return Sample([self.draws[g] for g in keep], [self.terms[g] for g in keep])

    def profile(self) -> Profile:
        """Smooth estimate of the profile, see `fit_profile`."""
        level = np.concatenate([draw.masks.level for draw in self.draws])
        sums = np.concatenate([terms.sum(1) for terms in self.terms])
        return fit_profile(level, sums, self.length)


@dataclass(frozen=True, eq=False)
class Pilot:
    """Samples of both responses of every pair."""

    samples: Sequence[Mapping[Side, Sample]]

    @property
    def size(self) -> int:
        """Masks of a group."""
        return len(self.samples[0]["chosen"].draws[0].masks.mask)

    @property
    def groups(self) -> int:
        """Independent groups of every response."""
        return len(self.samples[0]["chosen"].draws)

    def without(self, group: int) -> Pilot:
        """The pilot less one group of every response."""
        return replace(self, samples=[{s: x.without(group) for s, x in pair.items()} for pair in self.samples])

    def profiles(self) -> list[dict[Side, Profile]]:
        """Estimated profiles, pair by pair."""
        return [{side: sample.profile() for side, sample in pair.items()} for pair in self.samples]


def run_pilot(
    cases: Sequence[Case],
    evaluations: int = 64,
    *,
    size: int = SET,
    seed: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> Pilot:
    """Evaluate a pilot: power strata, masks shared by policy and reference, in independent groups.

    Parameters
    ----------
    evaluations : int
        Masks a response; a multiple of the group's size is used, two groups at least.
    size : int
        Masks a group: those of the estimates that are planned, if they have fewer.

    Raises
    ------
    ValueError
        For less than two groups.
    """
    size = min(size, evaluations // 2)
    if size < 2:
        raise ValueError(f"a pilot of {evaluations} evaluations has no two groups of two masks; give at least 4")
    groups = evaluations // size
    drawn = [
        SHARED.draw(case.pair, DESIGN, Budget(size), seed=seed, repeat=REPEAT, group=group)
        for case in cases
        for group in range(groups)
    ]
    terms = _terms([case for case in cases for _ in range(groups)], drawn, batch_tokens, progress)
    return Pilot([
        {
            side: Sample(*zip(*((drawn[k][j], terms[k][j]) for k in range(start, start + groups)), strict=True))
            for j, side in enumerate(SIDES)
        }
        for start in range(0, len(drawn), groups)
    ])  # fmt: skip


def _terms(
    cases: Sequence[Case],
    drawn: Sequence[Sequence[Draw]],
    batch_tokens: int,
    progress: elbo.Progress | None,
) -> list[list[Array]]:
    """Token terms (n, L, 2) of every draw, all rows of the same two models in one sweep."""
    out: list[list[Array]] = [[np.empty(0)] * len(row) for row in drawn]
    streams: dict[tuple[int, int], list[int]] = {}
    for k, case in enumerate(cases):
        streams.setdefault((id(case.policy), id(case.reference)), []).append(k)
    for rows in streams.values():
        places = [(k, j) for k in rows for j in range(len(drawn[k]))]
        requests = [(drawn[k][j].response, drawn[k][j].masks.mask) for k, j in places]
        models = [cases[rows[0]].policy, cases[rows[0]].reference]
        policy, reference = elbo.sweep(requests, models, batch_tokens=batch_tokens, progress=progress)
        for (k, j), p, r in zip(places, policy, reference, strict=True):
            out[k][j] = np.stack([p, r], axis=2)
    return out


def fit_profile(level: Array, sums: Array, length: int) -> Profile:
    """A profile from masked sums (N, 2) at counts (N,).

    The variances of (L/l) S, of policy, reference and difference, are non-negative combinations of 1, 1 - x and
    (1 - x)^k/x with x = l/L and k = 1, 3, 9 (0 at l = L, where there is one mask): those of a shock per mask, of
    independent tokens, and of tokens that matter only while their neighbours are visible. They are fitted to squared
    residuals, weighed by the square of what is expected of them. The mean is a parabola in l/L, and,
    where counts repeat, each count's own departure from it, shrunk so that their spread is what remains of the observed
    one after the noise.
    """
    share, every = level / length, np.arange(1, length + 1) / length
    term = sums / share[:, None]
    columns = np.column_stack([term, term[:, 0] - term[:, 1]])
    fits = [np.polynomial.Polynomial.fit(share, y, _degree(level), w=np.sqrt(share), domain=[0, 1]) for y in columns.T]
    smooth, fitted = (np.stack([fit(x) for fit in fits], 1) for x in (every, share))
    counts = np.bincount(level.astype(int), minlength=length + 1)[1:]
    total: Array = np.stack([np.bincount(level.astype(int), r, length + 1)[1:] for r in (columns - fitted).T], 1)
    own = total / np.maximum(counts, 1)[:, None]
    variance = np.stack([_variance(share, s, every) for s in _squares(level, columns, fitted, own, counts).T], 1)
    mean = smooth + _departure(own, counts, variance[:, 2]) * own
    return _assembled(mean[:, :2], variance, every, counts)


def _degree(level: Array) -> int:
    return min(2, len(np.unique(level)) - 1)


def _squares(level: Array, columns: Array, fitted: Array, own: Array, counts: NDArray[np.int64]) -> Array:
    """Squared residuals (N, 3), from the mean of the same count where it repeats, else from the parabola."""
    index = level.astype(int) - 1
    repeats = (counts[index] > 1)[:, None]
    residual = columns - fitted - np.where(repeats, own[index], 0)
    free = np.where(repeats, 1 - 1 / counts[index][:, None], 1 - (_degree(level) + 1) / max(len(level), 4))
    return residual**2 / free


def _departure(own: Array, counts: NDArray[np.int64], variance: Array) -> Array:
    """How much of each count's departure to keep, (L, 1): root of signal over signal and noise, of the difference."""
    noise = variance / np.maximum(counts, 1)
    seen = (counts > 1) & (variance > 0)
    if not seen.any():
        return np.zeros((len(counts), 1))
    signal = max(0.0, float(np.mean(own[seen, 2] ** 2 - noise[seen])))
    return (np.sqrt(signal / (signal + noise + 1e-300)) * (counts > 1))[:, None]


def _assembled(mean: Array, variance: Array, every: Array, counts: NDArray[np.int64]) -> Profile:
    policy, reference, difference = variance.T
    covariance = (policy + reference - difference) / 2
    matrix = np.stack([np.stack([policy, covariance], 1), np.stack([covariance, reference], 1)], 1)
    zero = np.zeros((1, 2, 2))
    return Profile(
        np.vstack([zero[0, :1], mean * every[:, None]]),
        np.concatenate([zero, matrix * every[:, None, None] ** 2]),
        np.concatenate([[0], counts]),
    )


def _variance(share: Array, square: Array, every: Array) -> Array:
    """Variance of the term at every count, from squared residuals."""
    from scipy.optimize import nnls

    def basis(x: Array) -> Array:
        return np.stack([np.ones_like(x), 1 - x, *((1 - x) ** k / x for k in (1, 3, 9))], 1) * (x < 1)[:, None]

    expected = np.full(len(share), square.mean() + 1e-300)
    coefficients = np.zeros(5)
    for _ in range(3):
        coefficients = nnls(basis(share) / expected[:, None], square / expected)[0]
        expected = np.maximum(basis(share) @ coefficients, 0.05 * square.mean() + 1e-300)
    return basis(every) @ coefficients


def contrast(side: Side) -> Contrast:
    """The difference of policy and reference on one side, masks shared."""
    return next(c for c in SHARED.contrasts if c.side == side)
