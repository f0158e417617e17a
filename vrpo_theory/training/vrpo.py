"""VRPO: DPO on ELBO estimates whose masks policy and reference share (2505.19223v2, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vrpo_theory import batching, preference
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs import DESIGNS, Design
from vrpo_theory.numerics import total
from vrpo_theory.training import supervised
from vrpo_theory.types import Budget, Case, PreferencePair
from vrpo_theory.weightings.plain import PLAIN

DESIGN, BUDGET, SHARED = DESIGNS["iid_count"](), Budget(8, 1), Coupling(shared=True)


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
    """

    reference: Any
    stream: Callable[[int], PreferencePair]
    batch: int
    seed: int = 0
    anchor: float = 0.0
    beta: float = preference.BETA
    design: Design = DESIGN
    budget: Budget = BUDGET
    coupling: Coupling = SHARED
    batch_tokens: int = batching.BATCH_TOKENS

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
        draws = [
            self.coupling.draw(case.pair, self.design, self.budget, seed=self.seed, repeat=i)
            for case, i in zip(cases, numbers, strict=True)
        ]
        addends = preference.contributions(cases, draws, PLAIN, batch_tokens=self.batch_tokens)
        scores = [self.beta * preference.margin(d, a) for d, a in zip(draws, addends, strict=True)]
        for case, draw, score in zip(cases, draws, scores, strict=True):
            preference.backward(case, draw, PLAIN, beta=self.beta, batch_tokens=self.batch_tokens, score=score)
        return total(preference.loss(scores)) / self.batch
