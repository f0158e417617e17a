"""Exact law of the score estimate, and from it the exact bias and variance of the loss.

The score is a sum of independent contrasts, each a sum over independent blocks of timesteps, each a mixture over
outcomes of sums of independent masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.convolution import Slot, Terms, convolve
from vrpo_theory.couplings import Contrast
from vrpo_theory.exact.enumeration import tables_of
from vrpo_theory.exact.joint import FiniteLaw
from vrpo_theory.exact.moments import require_separable
from vrpo_theory.losses import Loss
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.numerics import total
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, Case

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreLaw(FiniteLaw):
    """Law of s_hat; its variance is too large by at most ``jitter``.

    Parameters
    ----------
    prob, value : (Q,) float
    jitter : float
        Variance that splitting atoms has added at most; 0 if the law is exact. Given the true score estimate the added
        noise has mean 0, so an expectation of g moves by at most max|g''| jitter / 2, and one of a 1-Lipschitz function
        by at most sqrt(jitter).
    """

    jitter: float

    @property
    def resolved(self) -> bool:
        """Whether splitting has added less than 1% of the variance; rare atoms far away make a lattice too coarse."""
        return self.jitter <= 0.01 * self.variance


@dataclass(frozen=True)
class LossMoments:
    """What the noise of the score does to the loss, DPO's in nats.

    Parameters
    ----------
    bias : float
        E loss_hat - loss, of error at most ``error``.
    mean_absolute_error : float
        E|loss_hat - loss|, which the paper calls the bias; of error at most sqrt(8 error).
    variance : float
        V loss_hat.
    error : float
        Bound on what the lattice moved the bias: the loss's `bias_bound` of the jitter.
    """

    bias: float
    mean_absolute_error: float
    variance: float
    error: float


def loss_moments(law: ScoreLaw, score: float, loss: Loss = DPO) -> LossMoments:
    """Moments of the loss of s_hat about the loss of the true score.

    Examples
    --------
    >>> from vrpo_theory import MODELS, Scheme, tabulate, true_margin
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> found = loss_moments(score_law(answers, Scheme(), beta=0.2), score=0.2 * true_margin(answers))
    >>> round(found.bias, 5), round(found.mean_absolute_error, 4), round(found.variance, 5)
    (0.00159, 0.0469, 0.00346)
    """
    shift = law.value - score
    value = np.where(np.abs(shift) <= 1e-14 * abs(score), score, law.value)  # sums of the same numbers, rounded
    gain = loss.value(value) - loss.value(score)
    bias = total(law.prob * gain)
    variance = total(law.prob * (gain - bias) ** 2)
    return LossMoments(bias, total(law.prob * np.abs(gain)), variance, loss.bias_bound(law.jitter))


def score_law(tabulated: Case, scheme: Scheme, beta: float) -> ScoreLaw:
    """Law of s_hat under any design of independent masks, any sharing of masks.

    Parameters
    ----------
    tabulated : Case
        From `vrpo_theory.exact.tabulate`.
    scheme : Scheme

    Raises
    ------
    ValueError
        If masks depend on one another given the levels, the weights join masks, or the responses share timesteps.

    Notes
    -----
    Source: ours. Given its level, a mask adds beta times its share times L/l (or 1/t) times S, with S uniform over
    masks of l tokens; l is what the level says, or binomial given t.

    Examples
    --------
    >>> from vrpo_theory import MODELS, tabulate
    >>> (answers,) = tabulate([MODELS["tabular"].case(0, 3)])
    >>> law = score_law(answers, Scheme.parse("n_t=2"), beta=0.2)
    >>> round(law.mean, 4), round(law.variance, 4), law.resolved
    (-0.0759, 0.0511, True)
    """
    if not convolves(scheme):
        raise ValueError(f"{scheme}: masks or contrasts are not independent: laws do not convolve; use Monte Carlo")
    slots = [
        slot
        for contrast in scheme.coupling.contrasts
        for sums in contrast_sums(tabulated, contrast)
        for slot in _slots(sums, contrast, scheme, beta)
    ]
    return ScoreLaw(*convolve(slots * scheme.groups, scheme.budget.n_yt))


def convolves(scheme: Scheme) -> bool:
    """Whether the law of the score is a convolution of the laws of independent blocks of timesteps."""
    independent = all(design.independent_masks and design.convolvable for design in scheme.designs)
    return independent and scheme.weighting.separable and not scheme.coupling.timesteps_shared


def contrast_sums(tabulated: Case, contrast: Contrast) -> Iterator[list[Array]]:
    """Masked sums of a contrast's every part: the values over the masks of each count l = 0..L."""
    for tables in zip(*(tables_of(tabulated, role, contrast.side) for role in ROLES), strict=True):
        sums = np.sum([c * table.sums for c, table in zip(contrast.coefficients, tables, strict=True)], axis=0)
        counts = tables[0].counts
        yield [sums[counts == count] for count in range(counts.max() + 1)]


def _slots(sums: Sequence[Array], contrast: Contrast, scheme: Scheme, beta: float) -> list[Slot]:
    design, share = scheme.design_of(contrast.side), beta / scheme.groups
    length = len(sums) - 1
    made: dict[int, Slot] = {}
    blocks = design.law(length, scheme.budget)
    for block in blocks:
        if id(block) not in made:
            scale = require_separable(scheme.weighting).scale(design.form, block.level, length)
            factor = share / scheme.budget.n_yt * block.weight * scale
            chance = design.counts(block.drawn, length)
            terms = [
                [_terms(sums, f, p) for f, p in zip(*row, strict=True)] for row in zip(factor, chance, strict=True)
            ]
            made[id(block)] = Slot(block.prob, terms)
    return [made[id(block)] for block in blocks]


def _terms(sums: Sequence[Array], factor: float, chance: Array) -> Terms:
    return [(float(p), factor * values) for p, values in zip(chance, sums, strict=True) if p > 0]
