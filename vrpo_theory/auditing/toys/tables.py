"""Short answers, up to ten tokens: every mask has its logits in a table, so that a call costs microseconds.

Token terms are at most 0.3 nats, which keeps the noise small beside a margin of 0.01 nats per token, yet leaves
mistakes of a few percent visible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from torch import Tensor

from vrpo_theory.auditing.predictor import TablePredictor
from vrpo_theory.auditing.toys.base import DAMAGE, PEAK, PROMPT, Array, Toy, answer_of
from vrpo_theory.auditing.toys.logits import logits
from vrpo_theory.exact import MaskTable, enumerate_masks
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.numerics import total
from vrpo_theory.types import Response

LISTED = 10
"""Longest answer whose masks are listed."""


@dataclass(frozen=True, eq=False)
class TableToy(Toy):
    """A toy all of whose masks are listed.

    Parameters
    ----------
    log_prob : (2**L, P + L) float64
        Log-probability of every true token, masked or not, by masked answer tokens; the context is intact.
    logits : (2 * 2**L, P + L, V) float32 tensor
        Those of the predictor: intact contexts first.
    """

    log_prob: Array
    logits: Tensor

    @cached_property
    def table(self) -> MaskTable:
        """Token terms at masked tokens, under every mask."""
        return MaskTable(Response(self.prompt, self.answer), self.log_prob[:, -self.length :] * all_masks(self.length))

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

    def mean_sums(self, scored: str) -> Array:
        """Mean sum over uniform masks of l tokens, l = 0..L, (L + 1,)."""
        return _mean_sums(self, scored)


@cache
def _mean_sums(toy: TableToy, scored: str) -> Array:
    sums = SCORED[scored](toy)
    counts = toy.table.counts[: len(sums)]
    size = np.bincount(counts, minlength=toy.length + 1)
    found: Array = np.bincount(counts, sums, toy.length + 1) / np.maximum(size, 1)
    return found


def _visible_too(toy: TableToy) -> Array:
    return np.asarray(toy.log_prob[:, -toy.length :].sum(1))


def _prompt_too(toy: TableToy) -> Array:
    return np.asarray(toy.table.sums + toy.log_prob[:, : -toy.length].sum(1))


def _without_last_token(toy: TableToy) -> Array:
    return np.asarray(toy.table.log_prob[:, :-1].sum(1))


def _last_visible(toy: TableToy) -> Array:
    """Only the masks that spare the last token: its bit is the highest."""
    return np.asarray(toy.table.sums[: 2 ** (toy.length - 1)])


def _in_bfloat16(toy: TableToy) -> Array:
    masks, length = all_masks(toy.length), toy.length
    rounded = toy.logits[: 2**length, -length:].bfloat16()
    truth = np.broadcast_to(np.array(toy.answer)[None, :, None], (2**length, length, 1))
    log_prob = np.take_along_axis(rounded.log_softmax(-1).double().numpy(), truth, -1)[..., 0]
    return np.asarray(np.where(masks, log_prob, 0.0).sum(1))


SCORED: dict[str, Callable[[TableToy], Array]] = {
    "masked": lambda toy: toy.table.sums,
    "visible": _visible_too,
    "prompt": _prompt_too,
    "without the last": _without_last_token,
    "last visible": _last_visible,
    "bfloat16": _in_bfloat16,
}


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


COSTS: dict[str, Callable[[int], Array]] = {f.__name__: f for f in (copied, rough, long_tailed, trained)}
"""Cost of every token under every mask, (2**L, L), by the answer's length."""


def table_toy(name: str, length: int) -> TableToy:
    """The toy of that name for an answer of L tokens.

    Notes
    -----
    Visible tokens and the prompt have terms of their own, 0.1 to 0.3 nats: scoring them shows. A masked prompt or an
    altered token makes every term 0.2 nats worse.
    """
    answer, masks = answer_of(length), all_masks(length)
    rng = np.random.default_rng(1000 + length)
    seen = rng.uniform(0.1, 0.3, (2**length, len(PROMPT) + length))
    cost = seen.copy()
    cost[:, len(PROMPT) :][masks] = COSTS[name](length)[masks]
    truth = np.array(PROMPT + answer)
    given = logits(np.stack([cost, cost + DAMAGE]), truth, rng)
    exact = given[0].astype(float)
    log_prob = np.take_along_axis(exact, truth[None, :, None], -1)[..., 0] - np.logaddexp.reduce(exact, -1)
    sums = (log_prob[:, -length:] * masks).sum(1)
    predictor = TablePredictor(given, sums, PROMPT, answer)
    return TableToy(name, predictor, PROMPT, answer, log_prob, predictor.table)
