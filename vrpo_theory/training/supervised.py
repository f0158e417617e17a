"""The supervised objective: the ELBO in its count form, one mask per response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vrpo_theory import batching
from vrpo_theory.designs import DESIGNS
from vrpo_theory.randomness import Address
from vrpo_theory.types import Budget, Masks, Response
from vrpo_theory.weightings.plain import PLAIN

DESIGN, ONE = DESIGNS["iid_count"](), Budget(1, 1)


@dataclass(frozen=True)
class Supervised:
    """Mean over a batch of -B_hat(y) / L: l uniform on 1..L, a uniform subset of l tokens, weight L/l, over L.

    Parameters
    ----------
    stream : callable
        Response number i; step s reads numbers s batch, ..., (s + 1) batch - 1.
    batch : int
    seed : int
        Seed of the masks.
    batch_tokens : int
        Most tokens per forward pass; the gradient is accumulated.
    """

    stream: Callable[[int], Response]
    batch: int
    seed: int = 0
    batch_tokens: int = batching.BATCH_TOKENS

    def backward(self, model: Any, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; nats per token."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        responses = [self.stream(i) for i in numbers]
        masks = [draw(response, self.seed, i) for response, i in zip(responses, numbers, strict=True)]
        return backward(model, responses, masks, batch_tokens=self.batch_tokens)


def draw(response: Response, seed: int, number: int) -> Masks:
    """The one mask of response number ``number``."""
    address = Address(seed, DESIGN.address, ONE.n_t, ONE.n_yt, response.key, repeat=number)
    return DESIGN.draw(address.uniforms(), response.length, ONE)


def backward(
    model: Any,
    responses: Sequence[Response],
    masks: Sequence[Masks],
    *,
    scale: float = 1.0,
    batch_tokens: int = batching.BATCH_TOKENS,
) -> float:
    """Accumulate ``scale`` times the gradient of the mean of -B_hat(y) / L in ``.grad``; return that mean, unscaled."""
    requests = [(response, mask.mask) for response, mask in zip(responses, masks, strict=True)]
    shares = [-PLAIN.weights(mask) / (mask.mask.shape[1] * len(masks)) for mask in masks]
    total = 0.0
    for pieces in batching.batches(requests, batch_tokens):
        part = batching.select(requests, pieces)
        value = batching.weighted_sum(model, part, [shares[r][rows] for r, rows in pieces])
        (scale * value).backward()
        total += float(value.detach())
    return total
