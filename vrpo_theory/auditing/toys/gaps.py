"""Long answers with exact values: a masked token costs more, the farther away the nearest visible tokens are.

Token i costs u_i (0.3 - 0.1 d^(a-1) - 0.1 d^(b-1)) nats, d = 0.6: a and b are the distances to the nearest visible
token on the left (the prompt is visible) and on the right (none: b is infinite), u_i in [0.6, 1] its own factor. Given
l masked tokens, i and the k tokens beside it are all masked with probability p_k = prod_{j=0..k} (l - j)/(L - j). So
E[d^(a-1); i masked] is the sum over k >= 0 of d^k (p_k - p_{k+1}), and its last term is d^i p_i, as there a = i + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.auditing.predictor import VOCABULARY, TracedPredictor
from vrpo_theory.auditing.toys.base import DAMAGE, PEAK, PROMPT, Array, Toy, answer_of
from vrpo_theory.auditing.toys.logits import IMPOSSIBLE

DECAY, CLOSE, SEEN, OFFSET = 0.6, 0.1, 0.2, 20.0


def factors(length: int) -> Array:
    """u_i, (L,): 0.6 to 1, in an order that repeats every five tokens."""
    return np.asarray(0.6 + 0.1 * (3 * np.arange(length) % 5), float)


class GapPredictor(TracedPredictor):
    """Computes the logits of the gaps; visible tokens cost 0.2 nats."""

    def _answer(self, masked: NDArray[np.bool_], damaged: NDArray[np.bool_]) -> tuple[NDArray[np.float32], Array]:
        cost = _cost(masked)
        scored = np.concatenate([np.full((len(masked), len(PROMPT)), SEEN), np.where(masked, cost, SEEN)], 1)
        return _logits(scored + DAMAGE * damaged[:, None], self.truth), -(cost * masked).sum(1)


def _cost(masked: NDArray[np.bool_]) -> Array:
    """Cost of every token were it masked, (B, L), from who is masked (B, L)."""
    length = masked.shape[1]
    place = np.arange(length)
    left = place - np.maximum.accumulate(np.where(masked, -1, place), 1)
    right = np.minimum.accumulate(np.where(masked, np.inf, place)[:, ::-1], 1)[:, ::-1] - place
    found: Array = factors(length) * (PEAK - CLOSE * (DECAY ** (left - 1.0) + DECAY ** (right - 1)))
    return found


def _logits(cost: Array, truth: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits (B, T, V) with cost (B, T) at the true token; the other words share the rest."""
    others = np.log(-np.expm1(-cost) / (VOCABULARY - 2))
    found = np.repeat(others[..., None], VOCABULARY, 2)
    found[..., -1] = IMPOSSIBLE
    found[:, np.arange(len(truth)), truth] = -cost
    return (found + OFFSET).astype(np.float32)


@dataclass(frozen=True, eq=False)
class GapToy(Toy):
    """The toy of the gaps: means in closed form, no table."""

    @property
    def reach(self) -> float:
        """R: no masked token costs more than 0.3 nats."""
        return PEAK * self.length

    def mean_sums(self, scored: str) -> Array:
        """Known for masked tokens alone, over all masks or those that spare the last token."""
        unknown = np.full(self.length + 1, np.nan)
        if scored == "masked":
            return _means(self.length, self.length)
        return np.append(_means(self.length, self.length - 1), 0.0) if scored == "last visible" else unknown


@cache
def _means(length: int, free: int) -> Array:
    """Mean masked sum by the count l = 0..free, where only the first ``free`` tokens may be masked, (free + 1,)."""
    level = np.arange(free + 1)[:, None]
    step = np.clip((level - np.arange(free)) / (free - np.arange(free)), 0.0, None)
    run = np.cumprod(step, 1)  # p_k, (free + 1, free)
    ended = (run - np.append(run[:, 1:], np.zeros((free + 1, 1)), 1)) * DECAY ** np.arange(free)
    found = np.zeros(free + 1)
    for i, factor in enumerate(factors(length)[:free]):
        last = free - 1 - i
        left = ended[:, :i].sum(1) + run[:, i] * DECAY**i
        right = ended[:, :last].sum(1) + (run[:, last] * DECAY**last if free < length else 0.0)
        found -= factor * (PEAK * run[:, 0] - CLOSE * (left + right))
    return found


def gap_toy(length: int) -> GapToy:
    """The toy for an answer of L tokens."""
    answer = answer_of(length)
    return GapToy("gaps", GapPredictor(PROMPT, answer), PROMPT, answer)
