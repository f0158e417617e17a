"""One pool of evaluations for every configuration: nested analysis of variance instead of repeats.

T iid timesteps of K masks each, policy and reference on the same masks, tell V_t, V_yt and the covariances of both
models; so the score's variance for any n_t, n_yt and either sharing, without bias. What is not linear in the components
(the loss) is taken from the pool's own law: draws of timesteps, and of masks at them, from the pool.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo, preference
from vrpo_theory.convolution import Slot
from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.numerics import jackknife, sample_variance, total
from vrpo_theory.randomness import POOL
from vrpo_theory.sampling._pool_laws import left_out_means
from vrpo_theory.sampling.scores import nested_moments, passes
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements import lemma5
from vrpo_theory.types import Budget, Case, Estimate, Moments, Side, combine

Array = NDArray[np.float64]


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

    def score_variance(self, scheme: Scheme, beta: float) -> Estimate:
        """beta^2 (V_t/n_t + V_yt/n), unbiased; its error by leaving timesteps out, those of each side in turn.

        Raises
        ------
        ValueError
            For a scheme of other designs or weights than iid counts and plain ones.
        """
        budget, coupling = scheme.vrpo_budget, scheme.coupling
        value = lemma5.variance(self.moments(coupling), budget)
        left = np.full((len(self.terms), self.budget.n_t), value)
        for row, side in zip(left, self.terms, strict=True):
            for contrast in (c for c in coupling.contrasts if c.side == side):
                whole, rest = self._contrast(contrast), _left_out(self.values(contrast))
                row += [lemma5.variance(part, budget) - lemma5.variance(whole, budget) for part in rest]
        return jackknife(beta**2 * value, beta**2 * left)

    def losses(self, scheme: Scheme, beta: float) -> tuple[Estimate, Estimate]:
        """Bias and variance of the plug-in loss, about the loss of the pool's own score, in nats and nats squared.

        Under the pool's law: timesteps, and masks at them, drawn from the pool with replacement. That law's variance of
        the score is a little less than the unbiased one; both results are scaled by the ratio, as both are
        proportional to it to first order (ours). Errors by leaving timesteps out. ValueError as `score_variance`.
        """
        budget, coupling = scheme.vrpo_budget, scheme.coupling
        by_side = [[self.slot(c, budget, beta) for c in coupling.contrasts if c.side == side] for side in self.terms]
        centre = beta * self.margin

        def basis(score: Array) -> Array:
            gain, shift = preference.loss(score) - preference.loss(centre), score - centre
            return np.array([gain, gain**2, shift, shift**2])

        whole, left = left_out_means(by_side, budget, basis)
        score = self.score_variance(scheme, beta)
        found = _bias_and_variance(whole, score.value, centre)
        parts = _bias_and_variance(left, score.left_out, centre)
        bias, variance = (jackknife(float(value), rest) for value, rest in zip(found, parts, strict=True))
        return bias, variance

    def slot(self, contrast: Contrast, budget: Budget, beta: float) -> Slot:
        """One timestep of a contrast as a share of the score: any of the pool's, and any of its masks."""
        values = beta / budget.n * self.values(contrast)
        return Slot(np.full(len(values), 1 / len(values)), [[[(1.0, row)]] for row in values])

    def _contrast(self, contrast: Contrast) -> Moments:
        values = self.values(contrast)
        return nested_moments(values.ravel() / values.size, Budget(*values.shape))

    def values(self, contrast: Contrast) -> Array:
        """Each mask's term of the margin, (T, K)."""
        values: Array = self.terms[contrast.side] @ np.array(contrast.coefficients)
        return values


def _left_out(values: Array) -> list[Moments]:
    """Components without each timestep of terms (T, K), as `nested_moments` of the others."""
    steps, masks = values.shape
    within = sample_variance(values, axis=1)
    mean = values.mean(1)
    squares = (mean - mean.mean()) ** 2 * (np.ptp(mean) > 0)
    v_mask = (within.sum() - within) / (steps - 1)
    # Leaving row t out lowers the sum of squares by T/(T - 1) of its own.
    between = (squares.sum() - squares * steps / (steps - 1)) / (steps - 2)
    return [Moments(math.nan, b - w / masks, w) for b, w in zip(between.tolist(), v_mask.tolist(), strict=True)]


def _bias_and_variance(means: Array, variance: Any, centre: float) -> tuple[Array, Array]:
    """Of the loss, from the means of its gain over the centre's and of the score's shift, scaled to a variance."""
    gain, gain_square, shift, shift_square = np.moveaxis(means, -1, 0)
    bias = gain - (preference.loss(centre + shift) - preference.loss(centre))
    own = shift_square - shift**2
    scale = np.divide(variance, own, out=np.zeros_like(own), where=own > 0)
    return scale * bias, scale * (gain_square - gain**2)


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
        For a smaller pool: its components, or their errors, cannot be estimated.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> (pool,) = draw_pools([MODELS["tabular"].case(0, 3)], Budget(n_t=100, n_yt=2), seed=0)
    >>> pool.terms["chosen"].shape  # timesteps, masks, models
    (100, 2, 2)
    """
    if budget.n_t < 3 or budget.n_yt < 2:
        raise ValueError(f"a pool needs at least 3 timesteps of 2 masks, got {budget.n_t} of {budget.n_yt}")
    scheme = Scheme(budget=budget)
    draws = [scheme.draw(case, seed=seed, repeat=POOL) for case in cases]
    addends = preference.contributions(cases, draws, scheme.weighting, batch_tokens=batch_tokens, progress=progress)
    shape = (budget.n_t, budget.n_yt, 2)
    return [
        Pool({contrast.side: budget.n * values.reshape(shape) for contrast, values in passes(*row)})
        for row in zip(draws, addends, strict=True)
    ]
