"""Which mistake fits what was seen: the means of all cells against exact predictions, and the masks asked for.

A name is a finding, not a theorem: it says which known mistake is left when those that do not fit are crossed out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vrpo_theory.auditing.cells import AuditCell
from vrpo_theory.auditing.generators import GeneratorUse
from vrpo_theory.auditing.mistakes import Mistake, known, mean_of
from vrpo_theory.numerics import tail_index
from vrpo_theory.types import Estimate

ENOUGH = 50
"""Calls below which a cell has no say."""
FAR = 7.0
"""Standard errors by which a prediction may miss in every cell."""
CLOSE = 30.0
"""Difference in summed squared misses (30: likelihoods e^-15 apart) below which two names are reported together."""
ALIKE = 1e-3
"""Relative difference of weights up to which they are one: float32 log-probabilities are summed in other orders."""
FLOAT32 = 2e-5
"""Share of R that float32 log-probabilities may move a mean."""
MEAN_LOST, VARIANCE_LOST = 1.75, 3.0
"""Estimated tail indices below which a rejected estimator is taken to have no mean, another one no variance."""
FALSE = 6.0
"""Standard errors of its logarithm by which a ratio of variances must differ from 1 to be called false."""


@dataclass(frozen=True)
class Finding:
    """What seems wrong by name, and what speaks for it.

    Parameters
    ----------
    name, evidence : str
    cause : bool
        Whether it can bias an estimate. Conduct (whose random numbers, how many passes, what is said of errors) cannot:
        it is told, and never given as the reason of a rejection.
    """

    name: str
    evidence: str
    cause: bool = True


def diagnose(cells: Sequence[AuditCell], use: GeneratorUse) -> tuple[Finding, ...]:
    """Everything that seems wrong, what explains the verdict first."""
    seen = [c for c in cells if len(c.values) >= ENOUGH]
    verdicts = {c.verdict for c in cells}
    findings: list[Finding] = []
    if "rejected" in verdicts:
        findings += _of_the_masks(seen)
        findings += _of_the_tail(seen) if any(c.heavy for c in seen) else []
        findings += [] if findings else _of_the_means(seen)
    elif any(c.heavy for c in cells):
        findings += _of_the_tail(seen)
    return (*findings, *_of_the_errors(seen), *_of_the_generator(use), *_of_the_rows(seen))


def heaviest_tail(cells: Sequence[AuditCell]) -> Estimate | None:
    """Tail index below the ELBO: of the largest 5% of each heavy cell at the smallest n, the median over cells."""
    heavy = [c for c in cells if c.heavy and len(c.values) >= 400]
    heavy = [c for c in heavy if c.n == min(x.n for x in heavy)]
    found = [index for c in heavy if (index := tail_index(-np.array(c.values), len(c.values) // 20))]
    return sorted(found, key=lambda index: index.value)[len(found) // 2] if found else None


def _of_the_masks(cells: Sequence[AuditCell]) -> Iterator[Finding]:
    rows = sum(c.rows for c in cells)
    prompt, altered = sum(c.prompt_masked for c in cells), sum(c.altered for c in cells)
    if prompt:
        yield Finding("prompt-masked", f"{prompt} of {rows} forward rows masked prompt tokens")
    if altered:
        yield Finding("altered-input", f"{altered} of {rows} forward rows showed altered, missing or extra tokens")
    if not rows:
        yield Finding("no-forward", "the model was never called")
    partial = [c for c in cells if c.counts[1 : c.toy.length].any() and c.toy.length > 2]
    if partial and all(len(set(c.values)) == 1 for c in partial):
        yield Finding("fixed-draw", "every call gave the same value from the same masks, whatever the generator's seed")


def _of_the_tail(cells: Sequence[AuditCell]) -> Iterator[Finding]:
    index = heaviest_tail(cells)
    if index is None:
        return
    value, error = index.value, index.stderr
    text = f"tail index {value:.2f} (standard error {error:.2f}) over values below the assumed range"
    if value < MEAN_LOST and any(c.evidence.too_low for c in cells):
        yield Finding("raw-time-weight", f"{text}: the mean is infinite, as with 1/t of a t that the masks clamp")
    elif value < VARIANCE_LOST and not any(c.verdict == "rejected" for c in cells):
        yield Finding("infinite-variance", f"{text}: about 2, as with weights 1/t and no floor, or a tiny one")


def _of_the_means(cells: Sequence[AuditCell]) -> Iterator[Finding]:
    fits: dict[str, tuple[float, str]] = {}
    for mistake in known():
        misses = [_miss(mistake, c) for c in cells]
        if (
            cells
            and max(misses) <= FAR
            and all(_counts_agree(mistake, c) and _weights_agree(mistake, c) for c in cells)
        ):
            score = float(np.square(misses).sum())
            if mistake.name not in fits or score < fits[mistake.name][0]:
                fits[mistake.name] = score, mistake.says
    if fits:
        best, *others = sorted(fits, key=lambda name: fits[name][0])
        also = [name for name in others if fits[name][0] < fits[best][0] + CLOSE]
        text = f"{fits[best][1]}: predicts the mean of all {len(cells)} cells within {FAR:g} standard errors"
        yield Finding(best, text + (f"; so does {', '.join(also)}" if also else ""))


def _miss(mistake: Mistake, cell: AuditCell) -> float:
    """Standard errors between the cell's mean and the predicted one."""
    predicted = mean_of(mistake, cell.toy, cell.n, cell.batch_size or cell.n)
    if math.isnan(predicted):  # the toy cannot tell
        return 0.0
    bias = cell.bias
    return abs(bias.value + cell.toy.elbo - predicted) / math.hypot(bias.stderr or 0.0, FLOAT32 * cell.toy.reach)


def _counts_agree(mistake: Mistake, cell: AuditCell) -> bool:
    """Whether the counts l >= 1 seen are close to the predicted ones, in total variation."""
    length, seen = cell.toy.length, cell.counts[1:]
    uniform = np.full(length + 1, 1 / length)
    law = uniform if mistake.law is None else mistake.law(length, cell.n, cell.batch_size or cell.n)
    expected = law[1:]
    if not seen.sum() or not expected.sum():
        return bool(seen.sum()) == bool(expected.sum() > 0)
    distance = np.abs(seen / seen.sum() - expected / expected.sum()).sum() / 2
    return bool(distance < 0.005 + 3 * math.sqrt(length / len(cell.values)))


def _weights_agree(mistake: Mistake, cell: AuditCell) -> bool:
    """Whether masks of one count have one weight, or many, as predicted; where single masks show it."""
    count, weight = np.array(cell.weights).reshape(-1, 2).T
    spread = [np.ptp(weight[count == c]) / abs(weight[count == c]).max() for c in set(count) if (count == c).sum() > 9]
    return mistake.random_weight is None or not spread or mistake.random_weight == (max(spread) > ALIKE)


def _of_the_errors(cells: Sequence[AuditCell]) -> Iterator[Finding]:
    worst, place = 0.0, None
    for cell in cells:
        ratio = cell.stderr_ratio()
        if ratio is None or len(cell.values) < 4 * ENOUGH:
            continue
        distance = math.inf if not ratio.value else abs(math.log(ratio.value)) / (ratio.stderr or math.inf)
        if distance > max(FALSE, worst) and not 0.8 < ratio.value < 1.25:
            worst, place = distance, (cell, ratio.value)
    if place is not None:
        cell, value = place
        yield Finding(
            "false-standard-error",
            f"the squared standard error is {value:.2f} times the variance ({cell.toy.name}, L={cell.toy.length}, "
            f"n={cell.n}): rows that share a draw are not independent",
            cause=False,
        )


def _of_the_generator(use: GeneratorUse) -> Iterator[Finding]:
    if use.reads_global or use.advances:
        what = "reads" if use.reads_global else "advances"
        whose = ", ".join(use.advances) or "a global generator"
        yield Finding("global-generator", f"{what} {whose}, not only its own", cause=False)
    if not use.repeatable:
        yield Finding("not-repeatable", "equal generators and equal global seeds gave different results", cause=False)
    if use.settings:
        changed = "; ".join(use.settings)
        yield Finding("changed-settings", f"a call changed {changed}, for all code: restore it", cause=False)


def _of_the_rows(cells: Sequence[AuditCell]) -> Iterator[Finding]:
    for cell in cells:
        used = cell.rows / len(cell.values)
        if used > cell.n * (1 + 1e-9):
            yield Finding(
                "over-budget",
                f"{used:.3g} forward passes per call were used where n = {cell.n} were allowed",
                cause=False,
            )
            return
