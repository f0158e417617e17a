"""Masked predictors on which known mistakes show: small tables, so that a call costs microseconds.

Every toy has a prompt of three tokens and an answer that ends in the end-of-sequence id; its token terms are at most
0.3 nats, which keeps the noise small beside a margin of 0.01 nats per token, yet leaves mistakes of a few percent
visible. Logits are of size 16 to 32, as large models have them, with an offset that bfloat16 rounds against the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from vrpo_theory.auditing.predictor import EOS, VOCABULARY, WORDS, TracedPredictor
from vrpo_theory.auditing.process_settings import usual_settings
from vrpo_theory.exact import MaskTable, enumerate_masks
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.numerics import total
from vrpo_theory.types import Response

Array = NDArray[np.float64]

PROMPT = (3, 0, 2)
PEAK = 0.3
"""The most that a masked token costs, in nats."""
IMPOSSIBLE = -30.0
"""Logit of what never happens."""


@dataclass(frozen=True, eq=False)
class Toy:
    """A predictor, what it was asked for, and the exact answers.

    Parameters
    ----------
    name : str
    predictor : TracedPredictor
    prompt, answer : tuple of int
    log_prob : (2**L, P + L) float64
        Log-probability of every true token, masked or not, by masked answer tokens; the context is intact.
    """

    name: str
    predictor: TracedPredictor
    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    log_prob: Array

    @property
    def length(self) -> int:
        """L."""
        return len(self.answer)

    @cached_property
    def table(self) -> MaskTable:
        """Token terms at masked tokens, under every mask."""
        return MaskTable(Response(self.prompt, self.answer), self.log_prob[:, -self.length :] * all_masks(self.length))

    @property
    def elbo(self) -> float:
        """B(y) in nats, over all masks."""
        return self.table.elbo

    @cached_property
    def reach(self) -> float:
        """R: the plain count form with any number of masks lies in [-R, 0]."""
        return float(-(self.length / self.table.counts[1:] * self.table.sums[1:]).min())

    @cached_property
    def variance(self) -> float:
        """Variance of VRPO's estimate at n = 1 (iid counts, plain weights); V/n at n."""
        length, counts = self.length, self.table.counts
        squares = [np.mean((length / c * self.table.sums[counts == c] - self.elbo) ** 2) for c in range(1, length + 1)]
        return total(squares) / length


def copied(length: int) -> Array:
    """All tokens copy one another: certain beside a visible copy, worth 0.25 nats if none is: sharp in the count."""
    return np.where(all_masks(length).all(1), 0.25, 0.0)[:, None].repeat(length, 1)


def rough(length: int) -> Array:
    """Terms uniform on 0.1..0.3 nats, independent over visible sets and tokens."""
    return np.random.default_rng(length).uniform(0.1, PEAK, (2**length, length))


def long_tailed(length: int) -> Array:
    """Every second token is surprising when masked alone: heavy tails of 1/t weights show, and floors on t."""
    alone = all_masks(length).sum(1) == 1
    return np.where(alone[:, None] & (np.arange(length) % 2 == 1), PEAK, 0.05)


def trained(length: int) -> Array:
    """The packaged tiny LLaDA on this prompt, scaled so that no masked token costs more than 0.3 nats."""
    from vrpo_theory.models import MODELS

    response = Response(PROMPT, answer_of(length))
    (found,) = enumerate_masks([response], [MODELS["llada"].tiny("policy")])
    terms = -found[response].log_prob
    out: Array = terms * PEAK / terms.max()
    return out


TOYS: dict[str, Callable[[int], Array]] = {f.__name__: f for f in (copied, rough, long_tailed, trained)}


def answer_of(length: int) -> tuple[int, ...]:
    """The answer of each toy: words, and the end of sequence."""
    return (*(2 * i % WORDS for i in range(length - 1)), EOS)


@cache
@usual_settings()
def toy(name: str, length: int) -> Toy:
    """The toy of that name for an answer of L tokens, made once.

    Notes
    -----
    Visible tokens and the prompt have terms of their own, 0.1 to 0.3 nats: scoring them shows. A masked prompt or an
    altered token makes every term 0.2 nats worse.
    """
    answer, masks = answer_of(length), all_masks(length)
    rng = np.random.default_rng(1000 + length)
    seen = rng.uniform(0.1, 0.3, (2**length, len(PROMPT) + length))
    cost = seen.copy()
    cost[:, len(PROMPT) :][masks] = TOYS[name](length)[masks]
    logits = _logits(np.stack([cost, cost + 0.2]), np.array(PROMPT + answer), rng)
    exact = logits[0].astype(float)
    log_prob = np.take_along_axis(exact, np.array(PROMPT + answer)[None, :, None], -1)[..., 0]
    log_prob -= np.logaddexp.reduce(exact, -1)
    return Toy(name, TracedPredictor(logits, PROMPT, answer), PROMPT, answer, log_prob)


def _logits(cost: Array, truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Logits (..., T, V) under which the true token costs ``cost`` nats (..., T)."""
    others = rng.dirichlet(np.full(VOCABULARY - 2, 2.0), cost.shape)
    log_prob = np.full((*cost.shape, VOCABULARY), IMPOSSIBLE)
    for t, word in enumerate(truth):
        rest = [w for w in range(VOCABULARY - 1) if w != word]
        share = others[..., t, :] * -np.expm1(-cost[..., t, None])
        log_prob[..., t, rest] = np.log(np.maximum(share, np.exp(IMPOSSIBLE)))
        log_prob[..., t, word] = -cost[..., t]
    return (log_prob + _offset(log_prob, truth)).astype(np.float32)


def _offset(log_prob: Array, truth: NDArray[np.int64]) -> Array:
    """Of 32 offsets, the one with which bfloat16 lowers the true token's log-probability most, (..., T, 1)."""
    index = np.broadcast_to(truth[:, None], (*log_prob.shape[:-1], 1))
    best, lowest = np.zeros(log_prob.shape[:-1]), np.full(log_prob.shape[:-1], np.inf)
    for offset in 20 + np.arange(32) / 256:  # bfloat16 has steps of 1/8 there
        rounded = torch.from_numpy(log_prob + offset).bfloat16().double().log_softmax(-1).numpy()
        change = np.take_along_axis(rounded - log_prob, index, -1)[..., 0]
        best, lowest = np.where(change < lowest, offset, best), np.minimum(change, lowest)
    return best[..., None]
