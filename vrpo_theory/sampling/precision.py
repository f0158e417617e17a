"""What computing in half precision does to the numbers, measured on a sample of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo
from vrpo_theory.numerics import total
from vrpo_theory.randomness import PRECISION
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, Budget, Case, Request

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped


@dataclass(frozen=True)
class Deviation:
    """How far half precision moved one pair's numbers from those of float32, on the same masks.

    Parameters
    ----------
    token : float
        Mean of |change of log p| over masked tokens, both models, in nats.
    margin : float
        Change of the margin's estimate, in nats, with its sign.
    """

    token: float
    margin: float


def precision_deviations(
    cases: Sequence[Case], budget: Budget, *, seed: int, batch_tokens: int = batching.BATCH_TOKENS
) -> list[Deviation]:
    """Evaluate the same masks in the models' own precision and in float32, one model at a time.

    Parameters
    ----------
    cases : sequence of Case
        Of the same two models, which can be `vrpo_theory.checkpoints.wrapped.Wrapped.widened`.
    budget : Budget
        Masks per response, shared by policy and reference.
    """
    scheme = Scheme(budget=budget)
    drawn = [scheme.draw(case, seed=seed, repeat=PRECISION) for case in cases]
    draws = [d for row in drawn for d in row]
    requests = [(d.response, d.masks.mask) for d in draws]
    by_role = [_changes(cast("Wrapped", cases[0].model(role)), requests, batch_tokens) for role in ROLES]
    found, last = [], 0
    for row in drawn:
        own = range(last, last := last + len(row))
        sizes = np.concatenate([np.abs(change[k])[draws[k].masks.mask] for change in by_role for k in own])
        margin = [
            draws[k].contrast.coefficient(role) * elbo.estimate(draws[k].masks, change[k], scheme.weighting)
            for role, change in zip(ROLES, by_role, strict=True)
            for k in own
        ]
        found.append(Deviation(float(sizes.mean()), total(margin)))
    return found


def _changes(model: Wrapped, requests: Sequence[Request], batch_tokens: int) -> list[NDArray[np.float64]]:
    """Token terms in the model's own precision less those in float32, (n, L) per request."""
    own = elbo.terms(requests, model, batch_tokens=batch_tokens)
    with model.widened():
        wide = elbo.terms(requests, model, batch_tokens=batch_tokens)
    return [a - b for a, b in zip(own, wide, strict=True)]
