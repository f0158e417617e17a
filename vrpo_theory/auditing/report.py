"""The result of an audit: verdict, findings, and all cells as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vrpo_theory.auditing.cells import OUT_OF_TIME, AuditCell
from vrpo_theory.auditing.diagnosis import Finding, heaviest_tail
from vrpo_theory.auditing.generators import GeneratorUse
from vrpo_theory.documents import Document, finite
from vrpo_theory.errors import CheckError, UndecidedError
from vrpo_theory.tables import table


@dataclass(frozen=True, eq=False)
class Audit:
    """Result of `vrpo_theory.audit`.

    Parameters
    ----------
    cells : tuple of AuditCell
        What was seen at every toy, length, n and batch size.
    generator : GeneratorUse
    findings : tuple of Finding
        What seems wrong, by name; what explains the verdict first.
    """

    cells: tuple[AuditCell, ...]
    generator: GeneratorUse
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """ "rejected" (some bias is not 0), "accepted" (every bias is within the margin) or "undecided"."""
        verdicts = {cell.verdict for cell in self.cells}
        return next(v for v in ("rejected", "undecided", "accepted") if v in verdicts)

    @property
    def mistake(self) -> str | None:
        """Name of the likely mistake; None unless the audit rejects, and if no known mistake fits what was seen."""
        causes = [finding.name for finding in self.findings if finding.cause]
        return causes[0] if causes and self.verdict == "rejected" else None

    @property
    def forwards(self) -> int:
        """Forward rows that the estimator used in all."""
        return sum(cell.rows for cell in self.cells)

    @property
    def reason(self) -> str:
        """One line for the verdict."""
        if self.verdict == "accepted":
            margin = self.cells[0].rules.margin
            heavy = sum(c.heavy for c in self.cells)
            trust = (
                f", in {heavy} of them up to values below the assumed range: those are taken on trust" if heavy else ""
            )
            return f"the bias is at most {margin:g} nats per token in all cells ({len(self.cells)}){trust}"
        chosen = [c for c in self.cells if c.verdict == self.verdict]
        if self.verdict == "rejected":
            first = chosen[0]
            low, high = first.interval()
            return (
                f"{first.reason} by {abs(first.bias.value):.3g} nats (bias in [{low:.3g}, {high:.3g}]) on "
                f"{first.place}; {len(chosen)} {'cell' if len(chosen) == 1 else 'cells'} rejected"
            )
        whys = {c.reason: sum(x.reason == c.reason for x in chosen) for c in chosen}
        text = "; ".join(f"{why} in {count} of {len(self.cells)} cells" for why, count in whys.items())
        text += " (allow more seconds, or fewer lengths, n or toys)" if OUT_OF_TIME in whys else ""
        index = heaviest_tail(self.cells)
        return text + (
            f": heavy tails, infinite variance suspected (tail index near {index.value:.1f}; it is from 2 down)"
            if index
            else ""
        )

    def raise_for_verdict(self) -> None:
        """Nothing if accepted.

        Raises
        ------
        CheckError
            If rejected.
        UndecidedError
            If undecided.
        """
        if self.verdict == "rejected":
            likely = f"likely mistake: {self.mistake}" if self.mistake else "no known mistake explains this"
            raise CheckError(f"rejected: {self.reason}; {likely}")
        if self.verdict == "undecided":
            raise UndecidedError(f"undecided: {self.reason}")

    def document(self) -> Document:
        """The audit as JSON: bounds that do not exist are null."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "mistake": self.mistake,
            "findings": [asdict(f) for f in self.findings],
            "cells": [_cell(c) for c in self.cells],
            "generator": asdict(self.generator),
            "forwards": self.forwards,
        }

    def table(self, width: int | None = None, *, undecided: bool = False) -> str:
        """Text of a table with a row for every decided cell, and on demand for the undecided ones.

        Parameters
        ----------
        width : int or None
            Most characters per line, as `vrpo_theory.tables.table` takes it.
        undecided : bool
            Show undecided cells too.
        """
        shown = [_row(c) for c in self.cells if undecided or c.verdict != "undecided"]
        kept = [k for k, name in enumerate(HEADER) if name in ALWAYS or any(row[k] != "-" for row in shown)]
        header, *rows = ([row[k] for k in kept] for row in [HEADER, *shown])
        left = {header.index("verdict")}
        return table(header, rows, title=LEGEND, labels=header.index("verdict"), left=left, width=width)


def summary(audits: Mapping[str, Audit], width: int | None = None) -> str:
    """Text of a table with one row per audit: verdict, likely mistake or other finding, and the reason."""
    rows = [
        [name, audit.verdict, audit.mistake or ", ".join(f.name for f in audit.findings) or "-", audit.reason]
        for name, audit in audits.items()
    ]
    header = ["estimator", "verdict", "mistake or finding", "reason"]
    return table(header, rows, labels=1, left={1, 2, 3}, width=width)


HEADER = (
    "toy", "answer length", "masks", "batch size", "verdict", "bias in nats per token", "bounds of the bias", "calls",
    "passes per call", "variance ratio", "error ratio",
)  # fmt: skip
ALWAYS = {"toy", "answer length", "masks", "verdict"}
LEGEND = (
    "bias: mean of the calls less the exact ELBO, over the answer length; each of its bounds holds at all times, with "
    "the probability asked for. passes: forward passes. variance ratio: variance of the calls over that of VRPO with "
    "as many masks. error ratio: mean squared standard error over the variance of the calls."
)


def _cell(cell: AuditCell) -> Document:
    called = bool(cell.values)
    variance, stderr = cell.variance_ratio(), cell.stderr_ratio()
    return {
        "toy": cell.toy.name,
        "length": cell.toy.length,
        "n": cell.n,
        "batch_size": cell.batch_size,
        "verdict": cell.verdict,
        "reason": cell.reason,
        "exact": cell.toy.elbo,
        "bias": cell.bias.value if called else None,
        "stderr": cell.bias.stderr if called else None,
        "interval": finite(cell.interval())[0] if called else [None, None],
        "calls": len(cell.values),
        "forwards": cell.rows,
        "variance_ratio": None if variance is None else {"value": variance.value, "stderr": variance.stderr},
        "stderr_ratio": None if stderr is None else {"value": stderr.value, "interval": list(_log_interval(stderr))},
        "below_range": cell.evidence.below,
        "above_range": cell.evidence.above,
        "counts": cell.counts.tolist(),
    }


def _log_interval(ratio: Any) -> tuple[float | None, float | None]:
    """95% by the normal law of the logarithm."""
    if ratio.stderr is None:
        return None, None
    return ratio.value * math.exp(-1.96 * ratio.stderr), ratio.value * math.exp(1.96 * ratio.stderr)


def _row(cell: AuditCell) -> list[str]:
    place = [cell.toy.name, str(cell.toy.length), str(cell.n), str(cell.batch_size or "-")]
    verdict = cell.reason if cell.verdict == "rejected" else cell.verdict
    if not cell.values:
        return [*place, verdict, "-", "-", "0", "-", "-", "-"]
    bias, low, high = (x / cell.toy.length for x in (cell.bias.value, *cell.interval()))
    ratios = ("-" if ratio is None else f"{ratio.value:.3g}" for ratio in (cell.variance_ratio(), cell.stderr_ratio()))
    passes = f"{cell.rows / len(cell.values):.3g}"
    return [*place, verdict, f"{bias:+.4f}", f"{low:+.3f} to {high:+.3f}", str(len(cell.values)), passes, *ratios]
