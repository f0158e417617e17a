"""One cell of an audit: a toy, a number of masks and a batch size, and what calls there have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from vrpo_theory.auditing.estimator import Estimator, cell_name
from vrpo_theory.auditing.generators import derived
from vrpo_theory.auditing.heavy import excess
from vrpo_theory.auditing.predictor import Trace
from vrpo_theory.auditing.rules import Rules
from vrpo_theory.auditing.sequential import Evidence
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.numerics import mean_estimate, variance_estimate
from vrpo_theory.types import Estimate

Array = NDArray[np.float64]

OUT_OF_TIME = "out of time"
SMALL = 1e-3
"""Share of R below which a masked sum says nothing of its weight."""
ROUNDING = 0.01
"""Share of R by which both ends of the assumed range are widened: float32 log-probabilities can exceed 0."""


@dataclass(eq=False)
class AuditCell:
    """Calls at one toy, n and batch size, and the evidence they make.

    Attributes
    ----------
    values, stderrs : list of float
        What every call returned; NaN where there was no standard error.
    counts : (L + 1,) int
        Forward rows by number of masked answer tokens.
    weights : list of (int, float)
        Count and ratio of the value to the masked sum, of every call that asked for one mask alone
        whose tokens are not certain.
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
    weights: list[tuple[int, float]] = field(default_factory=list)
    rows: int = 0
    prompt_masked: int = 0
    altered: int = 0
    stopped: str = ""

    def __post_init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(self.toy.length + 1, np.int64)
        self._generator = torch.Generator().manual_seed(
            derived(self.seed, self.toy.name, self.toy.length, self.n, self.batch_size or 0)
        )
        self.evidence = self._evidence_of(self.toy.elbo, self._margin)
        self.up_to_tail: Evidence | None = None

    @property
    def _margin(self) -> float:
        return self.rules.margin * self.toy.length

    def _evidence_of(self, target: float, margin: float) -> Evidence:
        below, above = self.rules.span
        low, high = -(below + ROUNDING) * self.toy.reach, (above + ROUNDING) * self.toy.reach
        return Evidence(target, margin, low, high, reject=self.rules.reject, accept=self.rules.accept)

    def sample(self, estimator: Estimator, calls: int) -> None:
        """Call the estimator ``calls`` times more."""
        trace = self.toy.predictor.trace
        trace.take()
        found = [estimator(self.toy, self.n, self.batch_size, self._generator) for _ in range(calls)]
        values = np.array([value for value, _ in found])
        self.values += values.tolist()
        self.stderrs += [stderr for _, stderr in found]
        self._remember(trace.take(), values)
        self.evidence.update(values)
        if self.heavy:
            self._update_up_to_tail(values)

    def _remember(self, seen: Trace, values: Array) -> None:
        self.rows += seen.rows
        self.prompt_masked += seen.prompt_masked
        self.altered += seen.altered
        if not seen.counts:
            return
        counts, sums = np.concatenate(seen.counts), np.concatenate(seen.sums)
        self.counts += np.bincount(counts, minlength=len(self.counts))
        if len(sums) == len(values):
            telling = sums < -SMALL * self.toy.reach
            self.weights += zip(counts[telling].tolist(), (values[telling] / sums[telling]).tolist(), strict=True)

    def _update_up_to_tail(self, values: Array) -> None:
        """Evidence on the values cut off at the low end, against the time form's; all values when it begins."""
        if self.up_to_tail is None:
            beyond, slack = excess(self.toy, self.n, self.evidence.low)
            if slack >= self._margin:  # what lies beyond is not known well enough to decide
                return
            self.up_to_tail = self._evidence_of(self.toy.elbo + beyond, self._margin - slack)
            values = np.array(self.values)
        self.up_to_tail.update(np.maximum(values, self.evidence.low))

    @property
    def place(self) -> str:
        """Toy, answer length, n and batch size in words."""
        return cell_name(self.toy, self.n, self.batch_size)

    @property
    def verdict(self) -> str:
        """ "rejected", "accepted" or "undecided", so far."""
        if self.evidence.too_low or self.evidence.too_high:
            return "rejected"
        return "accepted" if self.deciding.within else "undecided"

    @property
    def deciding(self) -> Evidence:
        """What may accept: evidence on the values, or up to the tail where some lie below the range."""
        return self.up_to_tail or self.evidence

    @property
    def reason(self) -> str:
        """What the verdict rests on."""
        if self.verdict == "rejected":
            return "too low" if self.evidence.too_low else "too high"
        if self.verdict == "accepted":
            return "up to values below the assumed range" if self.heavy else ""
        return self.stopped or "not called often enough"

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
        """Bounds of the bias, each of which holds at all times but with the probability of a wrong acceptance."""
        lower, upper = self.evidence.interval(np.array(self.values))
        return lower - self.toy.elbo, upper - self.toy.elbo

    def variance_ratio(self) -> Estimate | None:
        """Variance over VRPO's exact variance at equal n; None where that is 0 or unknown, or nothing was sampled."""
        if not self.toy.variance or self.toy.variance < 1e-12 or len(self.values) < 3:
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
