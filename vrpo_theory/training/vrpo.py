"""VRPO: DPO on ELBO estimates whose masks policy and reference share (2505.19223v2, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, functionals, preference
from vrpo_theory.couplings import Draw
from vrpo_theory.numerics import total
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.training import supervised
from vrpo_theory.types import Case, PreferencePair


@dataclass(frozen=True)
class Vrpo:
    """Mean over a batch of the DPO-E loss, plus ``anchor`` times the supervised loss of the chosen responses.

    Parameters
    ----------
    reference : Model
    stream : callable
        Pair number i; step s reads numbers s batch, ..., (s + 1) batch - 1.
    batch : int
    seed : int
        Seed of the masks; policy and reference are evaluated on the same draws.
    anchor : float
        Weight of the supervised term.
    scheme : Scheme
        How scores are sampled: VRPO's choice, or what `vrpo_theory.plan` recommends.
    estimator : {"plug-in", "jackknife", "leave-one-out"}
        How the loss and its gradient follow from a score's independent blocks, see `vrpo_theory.functionals`.

    Raises
    ------
    ValueError
        If an estimator is unknown, or leaves blocks out of a scheme that has only one.
    """

    reference: Any
    stream: Callable[[int], PreferencePair]
    batch: int
    seed: int = 0
    anchor: float = 0.0
    beta: float = preference.BETA
    scheme: Scheme = VRPO
    estimator: str = "plug-in"
    batch_tokens: int = batching.BATCH_TOKENS

    def __post_init__(self) -> None:
        if self.estimator != "plug-in":
            functionals.left_out(np.zeros(self.scheme.blocks), self.estimator)

    def backward(self, model: Any, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; returns the DPO-E loss alone."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        cases = [Case(model, self.reference, self.stream(i)) for i in numbers]
        loss = self._prefer(cases, numbers)
        for p in model.parameters():
            if p.grad is not None:
                p.grad /= self.batch
        if self.anchor:
            chosen = [case.pair.chosen for case in cases]
            masks = [supervised.draw(response, self.seed, i) for response, i in zip(chosen, numbers, strict=True)]
            supervised.backward(model, chosen, masks, scale=self.anchor, batch_tokens=self.batch_tokens)
        return loss

    def _prefer(self, cases: list[Case], numbers: range) -> float:
        """Add the sum of the pairs' gradients; return their mean loss."""
        draws = [self.scheme.draws(case, seed=self.seed, repeat=i) for case, i in zip(cases, numbers, strict=True)]
        addends = preference.contributions(cases, draws, self.scheme.weighting, batch_tokens=self.batch_tokens)
        drawn = list(zip(cases, draws, addends, strict=True))
        return total([self._add(*one) for one in drawn]) / self.batch

    def _add(self, case: Case, draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> float:
        """Add one pair's gradient; return its loss."""
        weighting = self.scheme.weighting
        score = self.beta * preference.margin(draws, addends) / self.scheme.groups
        preference.backward(
            case, draws, weighting, beta=self.beta, batch_tokens=self.batch_tokens, score=score, addends=addends,
            estimator=self.estimator,
        )  # fmt: skip
        if self.estimator == "plug-in":
            return float(preference.loss(score))
        blocks = preference.block_scores(draws, addends, weighting, self.beta)
        return functionals.value(self.estimator, preference.loss, blocks)
