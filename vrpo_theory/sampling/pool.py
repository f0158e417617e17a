"""One pool of evaluations for every configuration: nested analysis of variance instead of repeats (layer 3).

T iid timesteps of K masks each, policy and reference on the same masks, tell V_t, V_yt and the covariances of both
models; so the score's variance for any n_t, n_yt and either sharing, without bias. What is not linear in the components
(the loss) is taken from the pool's own law: draws of timesteps, and of masks at them, from the pool.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo, preference
from vrpo_theory.convolution import Slot, convolve
from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.numerics import total
from vrpo_theory.sampling.scores import nested_moments
from vrpo_theory.statements import lemma5
from vrpo_theory.types import SIDES, Budget, Case, Estimate, Moments, Side, combine
from vrpo_theory.weightings.plain import PLAIN

Array = NDArray[np.float64]

SHARED = Coupling(shared=True)
REPEAT = -2
"""Where the pool's draws live: those of no estimate and of no pilot."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Evaluations of one pair.

    Parameters
    ----------
    terms : by side, (T, K, 2) float
        (L/l) S of every mask under policy and reference, in nats.
    """

    terms: Mapping[Side, Array]

    @property
    def budget(self) -> Budget:
        """T timesteps of K masks."""
        return Budget(*self.terms["chosen"].shape[:2])

    @property
    def margin(self) -> float:
        """Estimate of the margin from the whole pool, in nats."""
        return total([values.mean((0, 1)) @ _sign(side, (1.0, -1.0)) for side, values in self.terms.items()])

    def moments(self, coupling: Coupling) -> Moments:
        """Unbiased components of the margin under a coupling; None where K = 1 cannot tell them apart."""
        return combine([self._contrast(c) for c in coupling.contrasts])

    def score_variance(self, budget: Budget, coupling: Coupling, beta: float) -> Estimate:
        """beta^2 (V_t/n_t + V_yt/n), unbiased; its error by leaving timesteps out, sides apart."""
        spread = total([self._jackknife(c, budget) for c in coupling.contrasts])
        value = beta**2 * lemma5.variance(self.moments(coupling), budget)
        return Estimate(value, beta**2 * math.sqrt(spread))

    def losses(self, budget: Budget, coupling: Coupling, beta: float) -> tuple[float, float]:
        """Bias and variance of the plug-in loss, about the loss of the pool's own score, in nats and nats squared.

        Under the pool's law: timesteps, and masks at them, drawn from the pool with replacement. That law's variance of
        the score is a little less than the unbiased one; both results are scaled by the ratio, as both are
        proportional to it to first order (ours).
        """
        slots = [slot for c in coupling.contrasts for slot in self._slots(c, budget, beta)]
        prob, value, _ = convolve(slots, budget.n_yt)
        centre = total(prob * value)
        gain = preference.loss(value) - preference.loss(centre)
        bias = total(prob * gain)
        scale = self.score_variance(budget, coupling, beta).value / max(total(prob * (value - centre) ** 2), 1e-300)
        return scale * bias, scale * total(prob * (gain - bias) ** 2)

    def _slots(self, contrast: Contrast, budget: Budget, beta: float) -> list[Slot]:
        values = beta / budget.n * self.values(contrast)
        slot = Slot(np.full(len(values), 1 / len(values)), [[[(1.0, row)]] for row in values])
        return [slot] * budget.n_t

    def _contrast(self, contrast: Contrast, keep: NDArray[np.bool_] | None = None) -> Moments:
        values = self.values(contrast)
        values = values if keep is None else values[keep]
        return nested_moments(values.ravel() / values.size, Budget(*values.shape))

    def values(self, contrast: Contrast) -> Array:
        """Each mask's term of the margin, (T, K)."""
        return self.terms[contrast.side] @ np.array(contrast.coefficients)

    def _jackknife(self, contrast: Contrast, budget: Budget) -> float:
        """Variance of one contrast's part."""
        steps = self.budget.n_t
        left = [lemma5.variance(self._contrast(contrast, np.arange(steps) != t), budget) for t in range(steps)]
        return (steps - 1) / steps * float(np.sum((np.array(left) - np.mean(left)) ** 2))


def _sign(side: Side, coefficients: tuple[float, float]) -> Array:
    return np.array(coefficients) * (1.0 if side == "chosen" else -1.0)


def draw_pools(
    cases: Sequence[Case],
    budget: Budget,
    *,
    seed: int,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[Pool]:
    """Evaluate a pool of every pair, all in one stream of batches.

    Parameters
    ----------
    budget : Budget
        T >= 3 timesteps of K >= 2 masks.

    Raises
    ------
    ValueError
        For a smaller pool: its components, or their errors, cannot be told.
    """
    if budget.n_t < 3 or budget.n_yt < 2:
        raise ValueError(f"a pool needs at least 3 timesteps of 2 masks, got {budget.n_t} of {budget.n_yt}")
    design = IidCount()
    draws = [SHARED.draw(case.pair, design, budget, seed=seed, repeat=REPEAT) for case in cases]
    addends = preference.contributions(cases, draws, PLAIN, batch_tokens=batch_tokens, progress=progress)
    shape = (budget.n_t, budget.n_yt, 2)
    return [
        Pool({side: budget.n * values.reshape(shape) for side, values in zip(SIDES, row, strict=True)})
        for row in addends
    ]
