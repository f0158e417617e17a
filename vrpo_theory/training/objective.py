"""The preference objective: from pairs to scores, and to what has the gradient of their mean loss.

Two passes, so that memory does not grow with the number of masks: scores without a graph first; then every mask's
log-probabilities, weighted by slopes that are by now constants. A loop decides how the second pass is run: one pair
after the other, as the toy's does, or all together in batches of like length, as that of real checkpoints does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, functionals, preference
from vrpo_theory.batching import WeightedTerms
from vrpo_theory.couplings import Draw
from vrpo_theory.losses import Loss
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.numerics import sample_variance, total
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.training import supervised
from vrpo_theory.types import Case, Predictor, PreferencePair, Side

Array = NDArray[np.float64]
Numbered = tuple[int, PreferencePair]
"""A pair and its number in the order of training, at which its masks are drawn: another visit, other masks."""


@dataclass(frozen=True, eq=False)
class ScoredPair:
    """A pair's score and loss, and the evaluations that they come from.

    Parameters
    ----------
    number : int
    case : Case
    draws : tuple of Draw
    addends : list of (n, 2) float
        As `vrpo_theory.preference.contributions` gives them.
    score, loss : float
    blocks : (m,) float
        Scores of the independent blocks whose mean is the score.
    """

    number: int
    case: Case
    draws: tuple[Draw, ...]
    addends: list[Array]
    score: float
    loss: float
    blocks: Array

    @property
    def variance(self) -> float | None:
        """Estimated variance of the score, unbiased; None from one block."""
        return float(sample_variance(self.blocks)) / len(self.blocks) if len(self.blocks) > 1 else None

    def log_ratio(self, side: Side) -> float:
        """Estimate of B_policy - B_reference of one response, in nats."""
        sign = 1 if side == "chosen" else -1
        drawn = [pair for pair in zip(self.draws, self.addends, strict=True) if pair[0].contrast.side == side]
        return sign * total([preference.contrast_values(*pair).sum() for pair in drawn]) / preference.groups(self.draws)


@dataclass(frozen=True, kw_only=True)
class PairObjective:
    """Mean over a batch of a loss of the scores, plus ``anchor`` times the supervised loss of the chosen responses.

    Parameters
    ----------
    scheme : Scheme
        How scores are sampled: VRPO's choice, or what `vrpo_theory.plan` recommends.
    loss : Loss
        The function of the score: DPO's, or another of `vrpo_theory.LOSSES`.
    estimator : {"plug-in", "jackknife", "leave-one-out"}
        How the loss and its gradient follow from a score's independent blocks, see `vrpo_theory.functionals`.
    beta : float
    anchor : float
        Weight of the supervised term; the paper's is 0.05 (2505.19223v2, D.3).
    seed : int
        Of the masks; policy and reference see the same ones where the scheme shares them.
    batch_tokens : int
        Most tokens per forward pass.

    Raises
    ------
    ValueError
        If beta or anchor is negative or not finite, or an estimator is unknown or leaves blocks out of a scheme that
        has only one.

    Examples
    --------
    The scores of a pair, at its first and at its second visit, which has masks of its own:

    >>> from vrpo_theory import MODELS
    >>> case = MODELS["markov"].case(seed=0, length=8)
    >>> scored = PairObjective(beta=0.2).score(case.policy, case.reference, [(0, case.pair), (1, case.pair)])
    >>> [round(one.score, 3) for one in scored], [round(one.loss, 3) for one in scored]
    ([-0.033, 0.003], [0.71, 0.692])
    """

    scheme: Scheme = VRPO
    loss: Loss = field(default_factory=lambda: DPO)
    estimator: str = "plug-in"
    beta: float = preference.BETA
    anchor: float = 0.0
    seed: int = 0
    batch_tokens: int = batching.BATCH_TOKENS

    def __post_init__(self) -> None:
        preference.require_beta(self.beta)
        if not 0 <= self.anchor < np.inf:
            raise ValueError(f"anchor must be a finite number of at least 0, got {self.anchor}: the paper's is 0.05")
        if self.estimator != "plug-in":
            functionals.left_out(np.zeros(self.scheme.blocks), self.estimator)

    def score(self, policy: Predictor, reference: Predictor, batch: Sequence[Numbered]) -> list[ScoredPair]:
        """The first pass, without a graph: all masks of all pairs in one stream of batches."""
        cases = [Case(policy, reference, pair) for _, pair in batch]
        numbered = zip(cases, batch, strict=True)
        draws = [self.scheme.draws(case, seed=self.seed, repeat=number) for case, (number, _) in numbered]
        addends = preference.contributions(cases, draws, self.scheme.weighting, batch_tokens=self.batch_tokens)
        numbers = [number for number, _ in batch]
        return [self._scored(*one) for one in zip(numbers, cases, draws, addends, strict=True)]

    def terms(self, scored: ScoredPair) -> WeightedTerms:
        """The policy's terms that have the gradient of a pair's loss."""
        if self.estimator == "plug-in":
            slopes = self.loss.slope(np.full(len(scored.blocks), scored.score))
        else:
            slopes = functionals.slopes(self.estimator, self.loss.slope, scored.blocks)
        return self._terms(scored, slopes)

    def noise_terms(self, scored: ScoredPair) -> tuple[WeightedTerms, float] | None:
        """Terms whose gradient is that of one half of a pair's masks minus that of the other half, each with its slope.

        Its squared length times the second number estimates the variance that masks give the gradient of all of them,
        to first order in 1/m; None from one block.
        """
        m, half = len(scored.blocks), len(scored.blocks) // 2
        if not half:
            return None
        first = np.arange(m) < half
        size = np.where(first, half, m - half)
        mean = np.where(first, scored.blocks[:half].mean(), scored.blocks[half:].mean())
        return self._terms(scored, np.where(first, 1, -1) * m / size * self.loss.slope(mean)), half * (m - half) / m**2

    def anchor_terms(self, scored: Sequence[ScoredPair]) -> WeightedTerms:
        """The policy's terms of the supervised loss, mean over the batch, without its weight."""
        return supervised.terms([(one.number, one.case.parts("chosen")) for one in scored], self.seed)

    def batch_terms(self, scored: Sequence[ScoredPair]) -> WeightedTerms:
        """The policy's terms that have the gradient of a batch's mean loss, the supervised one included."""
        found = WeightedTerms([], [])
        for one in scored:
            found += self.terms(one) * (1 / len(scored))
        return found + self.anchor_terms(scored) * self.anchor if self.anchor else found

    def _scored(self, number: int, case: Case, draws: tuple[Draw, ...], addends: list[Array]) -> ScoredPair:
        score = self.beta * preference.margin(draws, addends) / self.scheme.groups
        blocks = preference.block_scores(draws, addends, self.scheme.weighting, self.beta)
        plain = self.estimator == "plug-in"
        loss = float(self.loss.value(score)) if plain else functionals.value(self.estimator, self.loss.value, blocks)
        return ScoredPair(number, case, draws, addends, score, loss, blocks)

    def _terms(self, scored: ScoredPair, slopes: Array) -> WeightedTerms:
        return preference.policy_terms(scored.draws, self.scheme.weighting, slopes, beta=self.beta)
