"""VRPO on a stream of pairs: DPO on ELBO estimates of shared masks (2505.19223v2, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vrpo_theory.numerics import total
from vrpo_theory.training import supervised
from vrpo_theory.training.objective import PairObjective
from vrpo_theory.types import Predictor, PreferencePair, Trainable


@dataclass(frozen=True)
class Vrpo(PairObjective):
    """The objective, `PairObjective`, as the toy's loop minimises it; its options are given by name.

    Parameters
    ----------
    reference : Model, or what answers in its place
    stream : callable
        Pair number i; step s reads numbers s batch, ..., (s + 1) batch - 1.
    batch : int
    """

    reference: Predictor
    stream: Callable[[int], PreferencePair]
    batch: int

    def backward(self, model: Trainable, step: int) -> float:
        """See `vrpo_theory.training.loop.Objective.backward`; returns the preference loss alone."""
        batch = [(i, self.stream(i)) for i in range(step * self.batch, (step + 1) * self.batch)]
        scored = self.score(model, self.reference, batch)
        for one in scored:
            self.terms(one).backward(model, self.batch_tokens)
        for p in model.parameters():
            if p.grad is not None:
                p.grad /= self.batch
        if self.anchor:
            supervised.backward(model, self.anchor_terms(scored), scale=self.anchor, batch_tokens=self.batch_tokens)
        return total([one.loss for one in scored]) / self.batch
