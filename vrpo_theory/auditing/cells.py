"""One cell of an audit: a toy, a number of masks and a batch size, and what calls there have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from vrpo_theory.auditing.estimator import Estimator, cell_name
from vrpo_theory.auditing.generators import derived
from vrpo_theory.auditing.rules import Rules
from vrpo_theory.auditing.sequential import Evidence
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.numerics import mean_estimate, variance_estimate
from vrpo_theory.types import Estimate

OUT_OF_TIME = "out of time"
ROUNDING = 0.01
"""Share of R by which both ends of the assumed range are widened: float32 log-probabilities can exceed 0."""


@dataclass(eq=False)
class AuditCell:
    """Calls at one toy, n and batch size, and the evidence they make.

    Attributes
    ----------
    values, stderrs : list of float
        What every call returned; NaN where there was no standard error.
    histogram : (2**L,) int
        Forward rows by mask.
    rows, prompt_masked, altered : int
        Forward rows; those of them that masked a prompt token, or showed an altered one.
    stopped : str
        Why the cell stays undecided; empty while it need not.
    """

    toy: Toy
    n: int
    batch_size: int | None
    rules: Rules
    seed: int
    values: list[float] = field(default_factory=list)
    stderrs: list[float] = field(default_factory=list)
    rows: int = 0
    prompt_masked: int = 0
    altered: int = 0
    stopped: str = ""

    def __post_init__(self) -> None:
        toy, (below, above) = self.toy, self.rules.span
        self.histogram: NDArray[np.int64] = np.zeros(2**toy.length, np.int64)
        self._generator = torch.Generator().manual_seed(
            derived(self.seed, toy.name, toy.length, self.n, self.batch_size or 0)
        )
        low, high = -(below + ROUNDING) * toy.reach, (above + ROUNDING) * toy.reach
        self.evidence = Evidence(toy.elbo, self.rules.margin * toy.length, low, high, self.rules.alpha)

    def sample(self, estimator: Estimator, calls: int) -> None:
        """Call the estimator ``calls`` times more."""
        trace = self.toy.predictor.trace
        trace.take()
        found = [estimator(self.toy, self.n, self.batch_size, self._generator) for _ in range(calls)]
        self.values += [value for value, _ in found]
        self.stderrs += [stderr for _, stderr in found]
        self.evidence.update(np.array(self.values[-calls:]))
        seen = trace.take()
        self.rows += seen.rows
        self.prompt_masked += seen.prompt_masked
        self.altered += seen.altered
        if seen.masks:
            self.histogram += np.bincount(np.concatenate(seen.masks), minlength=len(self.histogram))

    @property
    def place(self) -> str:
        """Toy, answer length, n and batch size in words."""
        return cell_name(self.toy, self.n, self.batch_size)

    @property
    def verdict(self) -> str:
        """ "rejected", "accepted" or "undecided", so far."""
        if self.evidence.too_low or self.evidence.too_high:
            return "rejected"
        return "accepted" if self.evidence.within else "undecided"

    @property
    def reason(self) -> str:
        """What the verdict rests on."""
        if self.verdict == "rejected":
            return "too low" if self.evidence.too_low else "too high"
        return "" if self.verdict == "accepted" else self.stopped or "not called often enough"

    @property
    def heavy(self) -> bool:
        """Whether a value lay below the assumed range."""
        return self.evidence.below > 0

    @property
    def bias(self) -> Estimate:
        """Mean of the calls less the exact ELBO, with its plain standard error."""
        found = mean_estimate(self.values)
        return Estimate(found.value - self.toy.elbo, found.stderr)

    def interval(self) -> tuple[float, float]:
        """Bounds of the bias that hold at all times."""
        lower, upper = self.evidence.interval(np.array(self.values))
        return lower - self.toy.elbo, upper - self.toy.elbo

    def variance_ratio(self) -> Estimate | None:
        """Variance over VRPO's exact variance at equal n; None where that is 0 or nothing was sampled."""
        if self.toy.variance < 1e-12 or len(self.values) < 3:
            return None
        found, exact = variance_estimate(self.values), self.toy.variance / self.n
        return Estimate(found.value / exact, None if found.stderr is None else found.stderr / exact)

    def stderr_ratio(self) -> Estimate | None:
        """Mean squared standard error over the variance of the calls, with the standard error of its LOGARITHM.

        None where the estimator gave fewer than 30 standard errors or does not vary.
        """
        squares = np.array(self.stderrs) ** 2
        squares = squares[np.isfinite(squares)]
        if len(squares) < 30:
            return None
        variance = variance_estimate(self.values)
        if variance.value < (1e-6 * self.toy.reach) ** 2 or variance.stderr is None:
            return None
        claimed = mean_estimate(squares)
        if not claimed.value:
            return Estimate(0.0, None, "a standard error of 0 for values that vary")
        spread = math.hypot((claimed.stderr or 0.0) / claimed.value, variance.stderr / variance.value)
        return Estimate(claimed.value / variance.value, spread)

    @cached_property
    def _counts_of_masks(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = all_masks(self.toy.length).sum(1)
        return found

    def counts(self) -> NDArray[np.int64]:
        """Forward rows by number of masked answer tokens, (L + 1,)."""
        return np.bincount(self._counts_of_masks, self.histogram, self.toy.length + 1).astype(np.int64)
