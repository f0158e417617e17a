"""What the ablation (`table3`) costs: the pooled protocol measured on a few random pairs, the paper's by arithmetic."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from vrpo_theory import Budget, Case, sampling
from vrpo_theory.elbo import Progress
from vrpo_theory.reproduce import EXHIBITS, Context
from vrpo_theory.reproduce.exhibits.table3.options import Ablation
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.types import ROLES, SIDES

T = TypeVar("T")

PAIRS, REPEATS = 128, 8
"""Of the paper's ablation (2505.19223v2, D.5)."""
POOL, GRADIENTS = "pool", "gradients of the pool"
"""What the exhibit calls its stages."""


@dataclass(frozen=True)
class Timed(Context):
    """A context whose progress bars are stop-watches."""

    spent: Counter[str] = field(default_factory=Counter)

    def track(self, items: Iterable[T], description: str) -> Iterator[T]:
        start = time.perf_counter()
        yield from items
        self.spent[description] += time.perf_counter() - start

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Progress]:
        start = time.perf_counter()
        yield lambda done: None
        self.spent[description] += time.perf_counter() - start


@contextmanager
def counted(case: Case) -> Iterator[Counter[bool]]:
    """Sequences that pass through the two models, by whether a gradient was taken."""
    found: Counter[bool] = Counter()
    bodies = {id(m): m.module.model for m in (case.policy, case.reference)}
    hooks = [
        body.register_forward_hook(lambda _, __, out: found.update({torch.is_grad_enabled(): len(out)}))
        for body in bodies.values()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def paper_passes() -> tuple[int, int]:
    """Sequences scored, and sequences differentiated, by the paper's protocol: every configuration afresh."""
    masks = sum(c["n_t"] * c["n_yt"] for c in tables()["table2_ablation"]["configurations"])
    per_role = PAIRS * REPEATS * masks * len(SIDES)
    return len(ROLES) * per_role, per_role


def cost(cases: Sequence[Case], dtype: str, batch_tokens: int) -> list[dict[str, Any]]:
    """Rows: what was run, the same for 128 pairs, and the paper's protocol."""
    # The context's own dtype would add rows of a fixed number of pairs, which are timed apart.
    own = Ablation(protocol="pooled")
    context = Timed(cases={"random": cases}, scale="real", method="mc", own=own, batch_tokens=batch_tokens)
    start = time.perf_counter()
    with counted(cases[0]) as passes:
        EXHIBITS["table3"].compute(context)
    total = time.perf_counter() - start
    scored, graded = passes[False], passes[True]
    once = _precision(cases, batch_tokens) if dtype in ("bfloat16", "float16") else 0.0
    more = PAIRS / len(cases)
    forwards, backwards = paper_passes()
    pool, gradients = context.spent[POOL], context.spent[GRADIENTS]
    paper = forwards * pool / scored + backwards * gradients / graded
    return [
        _row("pooled, measured", len(cases), scored, graded, pool, gradients, total + once),
        _row("pooled", PAIRS, scored * more, graded * more, pool * more, gradients * more, total * more + once),
        _row("the paper's", PAIRS, forwards, backwards, None, None, paper),
    ]


def _precision(cases: Sequence[Case], batch_tokens: int) -> float:
    """Seconds that comparing half precision with float32 takes, once per run."""
    start = time.perf_counter()
    sampling.precision_deviations(cases[:8], Budget(4, 1), seed=0, batch_tokens=batch_tokens)
    return time.perf_counter() - start


def _row(
    protocol: str, pairs: int, scored: float, graded: float, pool: float | None, gradients: float | None, total: float
) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "pairs": pairs,
        "forwards": round(scored),
        "gradients": round(graded),
        "pool_s": pool,
        "gradients_s": gradients,
        "minutes": total / 60,
    }
