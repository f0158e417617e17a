"""What the ablation measures, per pair and configuration: exactly, by the paper's repeats, or from one pool."""

from __future__ import annotations

from collections.abc import Sequence

from vrpo_theory.reproduce.base import Context
from vrpo_theory.reproduce.enumerated import enumerable, tabulated
from vrpo_theory.reproduce.exhibits.table3.enumerated import exact_rows
from vrpo_theory.reproduce.exhibits.table3.pooled import pooled_rows
from vrpo_theory.reproduce.exhibits.table3.precision import dtype_rows
from vrpo_theory.reproduce.exhibits.table3.repeats import repeated_rows
from vrpo_theory.reproduce.exhibits.table3.study import Measured, Study, merged
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case

__all__ = ["Measured", "dtype_rows", "merged", "rows"]


def rows(cases: Sequence[Case], configurations: Sequence[Scheme], context: Context) -> list[Measured]:
    """All measured rows of one model."""
    study = Study(cases, configurations, context, _tabulated(cases, context))
    found = list(exact_rows(study)) if study.answers is not None else []
    known = {measured.row: measured.values for measured in found}
    if context.method == "exact":
        return found
    protocol = context.own.protocol
    if protocol in ("paper", "both") or (protocol == "auto" and context.scale == "toy"):
        found += repeated_rows(study, known)
    if protocol in ("pooled", "both") or (protocol == "auto" and context.scale == "real"):
        found += pooled_rows(study, known)
    return found


def _tabulated(cases: Sequence[Case], context: Context) -> list[Case] | None:
    return tabulated("enumerating masks", cases, context) if enumerable(cases, context) else None
