"""The ablation's rows on half precision: what it does to a token and to the score, on a sample of the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

from vrpo_theory import sampling
from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.exhibits.table3.study import HALF, Measured
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case, Estimate, Model, Predictor, Recorder

SAMPLE = 8
"""Pairs that are computed in float32 too: enough to show the size, a small share of the run."""


def dtype_rows(cases: Sequence[Case], base: Scheme, context: Context) -> Iterator[Measured]:
    """Mean |change| of a token's log-probability and of the score at the base configuration; none in float32.

    Every process measures the same sample, so that the rows do not depend on how many there are.
    """
    if context.dtype not in HALF or any(_itself(c.policy) is None for c in cases):
        return
    sample = [
        replace(c, policy=cast(Model, _itself(c.policy)), reference=cast(Model, _itself(c.reference)))
        for c in cases[:SAMPLE]
    ]
    found = sampling.precision_deviations(sample, base.budget, seed=context.seed, batch_tokens=context.batch_tokens)
    note = f"mean |{context.dtype} - float32| on the same masks and weights, first {len(sample)} pairs"
    rows = {"dtype_token": [d.token for d in found], "dtype_score": [context.beta * abs(d.margin) for d in found]}
    for row, values in rows.items():
        yield Measured(row, "mc", {base: [Estimate(v) for v in values]}, base.budget.n, note=note)


def _itself(model: Predictor) -> Predictor | None:
    """The model behind a record; None if the record is all there is."""
    return getattr(model, "model", None) if isinstance(model, Recorder) else model
