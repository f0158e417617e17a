"""The preference objective of an arm: scores from sampled masks, or from every mask of short responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vrpo_theory import batching
from vrpo_theory.exact import MaskTable, enumerate_masks
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.numerics import total
from vrpo_theory.preference import BETA
from vrpo_theory.training.differentiable import loss
from vrpo_theory.training.objective import PairObjective
from vrpo_theory.types import SIDES, Predictor, PreferencePair

if TYPE_CHECKING:
    from torch import Tensor

Stream = Callable[[int], PreferencePair]
BATCH_TOKENS = 2**14
"""Tokens of a pair's 510 masks fit one batch."""


@dataclass(frozen=True)
class Sampled:
    """`PairObjective` on a stream of pairs, a whole batch of them at a time.

    Parameters
    ----------
    objective : PairObjective
    reference : Predictor
    stream : callable
        Pair number i; step s reads numbers s batch, ..., (s + 1) batch - 1.
    batch : int
    """

    objective: PairObjective
    reference: Predictor
    stream: Stream
    batch: int

    def pairs(self, step: int) -> list[PreferencePair]:
        """The pairs of a step."""
        return [self.stream(number) for number in range(step * self.batch, (step + 1) * self.batch)]

    def backward(self, model: Any, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; returns the preference loss alone."""
        value = loss(self.objective, model, self.reference, self.pairs(step), step)
        value.backward()
        return float(value.detach())


@dataclass(frozen=True)
class Enumerated:
    """DPO without sampling: the score from exact ELBOs, or from exact log-likelihoods, of every mask.

    Parameters
    ----------
    score : {"elbo", "likelihood"}
    reference, stream, batch
        As of `Sampled`.
    """

    score: Literal["elbo", "likelihood"]
    reference: Predictor
    stream: Stream
    batch: int

    def backward(self, model: Any, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; one pair's graph exists at a time."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        return total([self._pair(model, self.stream(number)) for number in numbers]) / self.batch

    def _pair(self, model: Any, pair: PreferencePair) -> float:
        responses = [pair.side(side) for side in SIDES]
        requests = [(response, all_masks(response.length)[1:]) for response in responses]
        log_prob = batching.log_prob(requests, model).double()
        here = [_table(*one, log_prob) for one in zip(responses, batching.parts(requests), strict=True)]
        (there,) = enumerate_masks(responses, [self.reference], batch_tokens=BATCH_TOKENS)
        gains = [self._value(table) - self._value(there[table.response]) for table in here]
        score = np.float64(BETA * (gains[0] - gains[1]))
        slope = BETA * float(DPO.slope(score)) / self.batch
        weights = [sign * slope * self._weights(table)[1:] for sign, table in zip((1, -1), here, strict=True)]
        (log_prob * log_prob.new_tensor(batching.spread(requests, weights))).sum().backward()
        return float(DPO.value(score))

    def _value(self, table: MaskTable) -> float:
        return table.elbo if self.score == "elbo" else table.log_likelihood

    def _weights(self, table: MaskTable) -> np.ndarray:
        return table.elbo_weights if self.score == "elbo" else table.likelihood_weights


def _table(response: Any, part: slice, log_prob: Tensor) -> MaskTable:
    """A response's table from the rows of a batch; the empty mask has none there."""
    found = log_prob.detach()[part, batching.answer_columns(response)].cpu().numpy()
    return MaskTable(response, np.vstack([np.zeros(response.length), found]))
