"""Cells of tables of arms: shares of right answers, and differences that are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vrpo_theory.reproduce.base import Cell
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.summary import joined
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.scores import ALL, Scores
from vrpo_theory.types import Estimate

SHARES = ("GSM8K", "Math", "GPQA", "HumanEval", "MBPP", "IFEval", "Arena-Hard")
"""The printed benchmarks that are percentages."""
UNIT = "share right"
Columns = Mapping[str, int]
"""Where the paper's table has an arm."""


def printed(table: str) -> dict[str, list[float]]:
    """The printed rows of benchmarks, in percent."""
    rows: dict[str, list[float]] = tables()[table]["rows"]
    return {name: rows[name] for name in SHARES if name in rows}


def shares(scores: Scores, arms: Sequence[str], table: str, columns: Columns) -> Iterator[Cell]:
    """How often each arm is right, in all and by task, the paper's number beside where it is of the same benchmark."""
    paper = printed(table)
    for task in (ALL, *scores.tasks):
        for arm in arms:
            if scores.has(arm):
                number = paper[task][columns[arm]] / 100 if task in paper and arm in columns else None
                yield Cell(f"right: {task}", column(scores, arm), **numbers(scores.accuracy(arm, task)), paper=number)


def differences(scores: Scores, claims: Sequence[tuple[str, str]], table: str, columns: Columns) -> Iterator[Cell]:
    """Pairs of arms, the sign held against the paper's where it has both."""
    for arm, base in claims:
        if scores.has(arm) and scores.has(base):
            known = {arm, base} <= columns.keys()
            apart = [row[columns[arm]] - row[columns[base]] for row in printed(table).values()] if known else None
            yield compared(f"minus {base}", column(scores, arm), scores.difference(arm, base, ALL), apart)


def compared(row: str, where: Mapping[str, Any], found: Estimate, apart: Sequence[float] | None) -> Cell:
    """A difference of shares and its verdict.

    Parameters
    ----------
    apart : sequence of float, optional
        The paper's differences by benchmark, in points; their mean has the sign that is claimed. Without them a
        difference "differs" from 0, or "agrees" where it is none.
    """
    paper = None if apart is None else float(np.mean(apart)) / 100
    sign = None if paper is None else int(np.sign(paper))
    verdict = paired.judged(found, sign)
    above = "" if apart is None else f"the paper's is above 0 in {sum(a > 0 for a in apart)} of {len(apart)} benchmarks"
    about = numbers(found) | {"note": joined(found.note, verdict.note, above), "interval": verdict.interval}
    return Cell(row, where, **about, paper=paper, verdict=verdict.word)


def only_printed(table: str, columns: Columns, label: str) -> Iterator[Cell]:
    """The paper's rows, as its own."""
    for row, values in tables()[table]["rows"].items():
        for arm, k in columns.items():
            yield Cell(
                row, {"model": label, "arm": arm}, None, method="paper", paper=values[k], note="the paper's, at 8B"
            )


def column(scores: Scores, arm: str) -> dict[str, Any]:
    return {"model": scores.label, "arm": arm}


def numbers(found: Estimate) -> dict[str, Any]:
    """Cell fields of an estimate."""
    about: dict[str, Any] = {"value": found.value, "stderr": found.stderr, "df": found.df, "note": found.note}
    return about | {"method": "mc", "unit": UNIT}
