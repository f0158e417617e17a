"""The supervised objective: the ELBO in its count form, one mask per response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vrpo_theory.batching import BATCH_TOKENS, WeightedTerms
from vrpo_theory.designs import DESIGNS
from vrpo_theory.randomness import Address
from vrpo_theory.types import Budget, Masks, Response, Trainable, block_length
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
    batch_tokens: int = BATCH_TOKENS

    def backward(self, model: Trainable, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; nats per token."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        drawn = [(i, self.stream(i).blocks(block_length(model))) for i in numbers]
        return backward(model, terms(drawn, self.seed), batch_tokens=self.batch_tokens)


def draw(response: Response, seed: int, number: int) -> Masks:
    """The one mask of response number ``number``."""
    address = Address(seed, DESIGN.address, ONE.n_t, ONE.n_yt, response.key, repeat=number)
    return DESIGN.draw(address.uniforms(), response.length, ONE)


def terms(numbered: Sequence[tuple[int, Sequence[Response]]], seed: int) -> WeightedTerms:
    """The terms of the mean over responses of -B_hat(y) / L.

    Parameters
    ----------
    numbered : sequence of (int, sequence of Response)
        A response's number, and its parts: its blocks under block diffusion, else itself. Each has one mask.
    """
    found = WeightedTerms([], [])
    for number, parts in numbered:
        masks = [draw(part, seed, number) for part in parts]
        share = sum(part.length for part in parts) * len(numbered)
        requests = [(part, mask.mask) for part, mask in zip(parts, masks, strict=True)]
        found += WeightedTerms(requests, [-PLAIN.weights(mask) / share for mask in masks])
    return found


def backward(model: Trainable, loss: WeightedTerms, *, scale: float = 1.0, batch_tokens: int = BATCH_TOKENS) -> float:
    """Accumulate ``scale`` times the gradient of a sum of terms in ``.grad``; return the sum, unscaled."""
    total = 0.0
    for part in loss.batches(batch_tokens, model):
        value = part.value(model)
        (scale * value).backward()
        total += float(value.detach())
    return total
