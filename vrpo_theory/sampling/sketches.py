"""Gradients without holding them: count sketches, whose squared lengths are unbiased.

Every coordinate goes to one of ``size`` cells with a random sign. Sketching is linear and keeps squared lengths on
average, E||sketch||^2 = ||g||^2, so variances of gradients are estimated from their sketches, whatever the number of
parameters (Charikar, Chen and Farach-Colton 2002).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, functionals
from vrpo_theory.couplings import Contrast, Draw
from vrpo_theory.models.base import differentiating, select_parameters, trainable
from vrpo_theory.numerics import jackknife, sigmoid, total
from vrpo_theory.randomness import POOL, Address
from vrpo_theory.sampling.pool import Pool
from vrpo_theory.sampling.spread import Spread
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Case, Estimate, Model, Request, Side
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

SIZE = 2**12
"""Cells: a squared length is off by 1 part in sqrt(SIZE / 2) = 45."""
CHUNK = 2**24
"""Coordinates whose cells and signs exist at one time."""
DRAWS = 256
"""Estimates that are put together from a pool to see how their gradients vary."""
RANK = 1e-14
"""Part of the largest eigenvalue below which one is rounding."""


def sketch(parts: Iterable[Any], size: int = SIZE, seed: int = 0) -> Array:
    """Count sketch, (size,), of a vector given as tensors in a fixed order.

    Cells and signs depend on ``seed``, the place of the tensor and its device's generator.
    """
    import torch

    out = None  # one row per cell: what came with a plus, and with a minus, which costs less than to multiply by signs
    for place, part in enumerate(parts):
        flat = part.detach().reshape(-1)
        out = torch.zeros(2 * size, dtype=torch.float64, device=flat.device) if out is None else out.to(flat.device)
        key = hashlib.blake2b(f"sketch {seed} {place}".encode(), digest_size=7).digest()
        generator = torch.Generator(flat.device).manual_seed(int.from_bytes(key))
        for chunk in flat.split(CHUNK):
            cell = torch.randint(2 * size, (len(chunk),), generator=generator, device=flat.device)
            out.index_add_(0, cell, chunk.double())
    if out is None:
        raise ValueError("nothing to sketch: no parameter is selected")
    signed: Array = out.reshape(size, 2).cpu().numpy()
    return signed[:, 0] - signed[:, 1]


@dataclass(frozen=True, eq=False)
class GradientPool:
    """Sketched gradients beside a pool of terms.

    Parameters
    ----------
    pool : Pool
    sketches : by side, (T, K, size) float
        Of the gradient of (L/l) S under the policy, mask by mask.
    """

    pool: Pool
    sketches: Mapping[Side, Array]

    def score_gradient_variance(self, budget: Budget, beta: float) -> float:
        """tr V grad s_hat = beta^2 times Lemma 5 (ii), both responses; unbiased."""
        return beta**2 * total([spread.variance(budget) for spread in self._spread.values()])

    def loss_gradient_variance(self, scheme: Scheme, beta: float, *, seed: int, estimator: str = "plug-in") -> Estimate:
        """tr V of the plug-in or leave-one-out gradient of the loss, over draws from the pool.

        Scaled, as `Pool.losses`, by the ratio of the unbiased variance of grad s_hat to the pool's own. Its error by
        leaving timesteps out: a draw of one that is left out becomes a draw of another, the rest stay.

        Raises
        ------
        ValueError
            As `Pool.score_variance`.
        """
        budget, contrasts = scheme.vrpo_budget, scheme.coupling.contrasts
        picks = [self._picked(budget, seed, k) for k in range(len(contrasts))]
        whole = self._coefficients(picks, contrasts, beta, estimator) @ self._factor

        def value(side: Side | None = None, step: int = -1) -> float:
            moved = [p.without(step) if c.side == side else p for p, c in zip(picks, contrasts, strict=True)]
            touched = np.any([(m.step != p.step).any((1, 2)) for m, p in zip(moved, picks, strict=True)], axis=0)
            rows = whole.copy()  # most draws do without the timestep anyway
            some = [m.part(touched) for m in moved]
            rows[touched] = self._coefficients(some, contrasts, beta, estimator) @ self._factor
            return self._scale(budget, side, step) * float(np.sum((rows - rows.mean(0)) ** 2)) / (DRAWS - 1)

        steps = range(self.pool.budget.n_t)
        return jackknife(value(), [[value(side, t) for t in steps] for side in self.sketches])

    @cached_property
    def _factor(self) -> Array:
        """One row per mask, chosen then rejected, by timesteps, with the inner products of the sketches.

        It has no more columns than their rank.
        """
        rows = np.concatenate([self.sketches[side].reshape(-1, self.sketches[side].shape[-1]) for side in SIDES])
        square, basis = np.linalg.eigh(rows @ rows.T)
        kept = square > RANK * square[-1]
        factor: Array = basis[:, kept] * np.sqrt(square[kept])
        return factor

    @cached_property
    def _spread(self) -> dict[Side, Spread]:
        return {side: Spread.of(values) for side, values in self.sketches.items()}

    def _scale(self, budget: Budget, side: Side | None, step: int) -> float:
        """The unbiased variance of grad s_hat over the pool's own, without a timestep of one side."""
        kept = [spread.without(step) if s == side else spread for s, spread in self._spread.items()]
        own = total([spread.own_variance(budget) for spread in kept])
        return total([spread.variance(budget) for spread in kept]) / own if own > 0 else 0.0

    def _coefficients(
        self, picks: Sequence[_Picks], contrasts: Sequence[Contrast], beta: float, estimator: str
    ) -> Array:
        """How much of each mask's gradient is in the gradient of each estimate, (estimates, masks of both sides)."""
        terms = [self.pool.values(c)[p.step, p.mask].mean(2) for c, p in zip(contrasts, picks, strict=True)]
        scores = beta * np.sum(terms, axis=0)
        slopes = np.zeros(scores.shape)
        for row, score in zip(slopes, scores, strict=True):
            row[:] = functionals.slopes(estimator, lambda x: -sigmoid(-x), score)
        width = self.pool.budget.n
        out = np.zeros((len(scores), width * len(SIDES)))
        for contrast, pick in zip(contrasts, picks, strict=True):
            sign = contrast.coefficient("policy")
            if sign:
                place = SIDES.index(contrast.side) * width + pick.step * self.pool.budget.n_yt + pick.mask
                share = beta * sign / math.prod(pick.mask.shape[1:]) * np.broadcast_to(slopes[:, :, None], place.shape)
                np.add.at(out, (np.arange(len(out))[:, None, None], place), share)
        return out

    def _picked(self, budget: Budget, seed: int, contrast: int) -> _Picks:
        """What `DRAWS` estimates take of the pool for one contrast."""
        streams = [
            Address(seed, f"pool {contrast}", budget.n_t, budget.n_yt, b"", repeat).uniforms()
            for repeat in range(DRAWS)
        ]
        level = np.array([stream.level(budget.n_t, 1) for stream in streams])
        mask = np.array([stream.mask(budget.n_t, budget.n_yt) for stream in streams])
        return _Picks(
            level * self.pool.budget.n_t, np.floor(mask * self.pool.budget.n_yt).astype(int), self.pool.budget.n_t
        )


@dataclass(frozen=True, eq=False)
class _Picks:
    """Timesteps, (draws, n_t, 1), as uniforms on [0, T), and masks, (draws, n_t, n_yt), of a pool of T timesteps."""

    place: Array
    mask: NDArray[np.int64]
    steps: int
    left_out: int = -1

    @property
    def step(self) -> NDArray[np.int64]:
        """The timesteps; the fraction of a uniform, itself uniform, chooses another for the one left out."""
        step = np.floor(self.place).astype(int)
        other = self.left_out + 1 + np.floor((self.place - step) * (self.steps - 1)).astype(int)
        return np.where(step == self.left_out, other % self.steps, step)

    def without(self, step: int) -> _Picks:
        """The same draws from the other timesteps."""
        return replace(self, left_out=step)

    def part(self, draws: NDArray[np.bool_]) -> _Picks:
        """Some of the draws."""
        return replace(self, place=self.place[draws], mask=self.mask[draws])


def draw_gradient_pool(
    case: Case, pool: Pool, *, parameters: str = "full", seed: int, size: int = SIZE, steps: int | None = None
) -> GradientPool:
    """Sketch the gradient of every mask of a pool, one backward pass each.

    Parameters
    ----------
    pool : Pool
        Of this case, from `draw_pools` at the same seed.
    parameters : {"full", "up-proj"}
    steps : int, optional
        Use only the first ``steps`` timesteps of the pool.

    Raises
    ------
    InputError
        If the model has no such parameters.
    """
    kept = Pool({side: terms[:steps] for side, terms in pool.terms.items()})
    draws = Scheme(budget=pool.budget).draw(case, seed=seed, repeat=POOL)
    model, chosen = trainable(case.policy), select_parameters(case.policy, parameters)
    out: dict[Side, Array] = {}
    with differentiating(model, chosen):
        for side in SIDES:
            own = [draw for draw in draws if draw.contrast.side == side]
            rows = [
                _sketched(model, chosen, *_one_pass(own, k, pool.budget.n), size, seed) for k in range(kept.budget.n)
            ]
            out[side] = np.array(rows).reshape(kept.budget.n_t, kept.budget.n_yt, size)
    return GradientPool(kept, out)


def _one_pass(draws: Sequence[Draw], k: int, n: int) -> tuple[list[Request], list[Array]]:
    """One mask of every part of a response, and the weights of its tokens, n times theirs in the estimate."""
    requests = [(draw.response, draw.masks.mask[[k]]) for draw in draws]
    return requests, [n * PLAIN.weights(draw.masks)[[k]] for draw in draws]


def _sketched(
    model: Model, chosen: Sequence[Any], requests: Sequence[Request], weights: Sequence[Array], size: int, seed: int
) -> Array:
    import torch

    value = batching.weighted_sum(model, requests, weights)
    return sketch(torch.autograd.grad(value, list(chosen)), size, seed)
