"""The ablation's rows from one pool of evaluations: every configuration, at a quarter of the paper's forward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vrpo_theory import sampling
from vrpo_theory.reproduce.exhibits.table3.study import NEEDS_TWO, Measured, Study, Values, leaves_out, predictions
from vrpo_theory.reproduce.options import POOL
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import ROLES, Estimate

GRADIENT_STEPS = 6
"""Timesteps of the pool whose masks are differentiated, one backward pass each."""
FROM_LAW = "from the pool's own law, scaled to the unbiased variance of the score"
SKETCHED = "by count sketches of the pool's gradients"


def pooled_rows(study: Study, known: Mapping[str, Values]) -> Iterator[Measured]:
    """Variance of score, loss and gradient and bias of the loss, all from the same evaluations."""
    context = study.context
    budget = context.own.pool or POOL
    cases = study.answers or study.cases
    with context.bar("pool", len(ROLES) * budget.n * sum(case.part_count for case in cases)) as progress:
        pools = sampling.draw_pools(
            cases, budget, seed=context.seed, batch_tokens=context.batch_tokens, progress=progress
        )
    columns = study.configurations
    score = {c: [p.score_variance(c, context.beta) for p in pools] for c in columns}
    note = f"one pool of {budget.n_t} timesteps of {budget.n_yt} masks per response"
    yield Measured("var_score", "pooled", score, budget.n, predictions(known, "var_score"), note)
    found = {c: [p.losses(c, context.beta) for p in pools] for c in columns}
    for k, row in enumerate(("bias_loss", "var_loss")):
        values = {c: [pair[k] for pair in found[c]] for c in columns}
        yield Measured(row, "pooled", values, budget.n, predictions(known, row), f"{note}; {FROM_LAW}")
    if study.parameters != "none":
        yield from _gradients(study, pools, known)


def _gradients(study: Study, pools: Sequence[sampling.Pool], known: Mapping[str, Values]) -> Iterator[Measured]:
    """tr V of the plug-in and the leave-one-out gradient."""
    context, pool_budget = study.context, study.context.own.pool or POOL
    steps = min(GRADIENT_STEPS, pool_budget.n_t)
    names = {"var_gradient": "plug-in", "var_gradient_loo": "leave-one-out"}
    values: dict[str, dict[Scheme, list[Estimate]]] = {r: {c: [] for c in study.configurations} for r in names}
    jobs = list(zip(study.cases, pools, strict=True))
    for case, pool in context.track(jobs, "gradients of the pool"):
        sketched = sampling.draw_gradient_pool(case, pool, parameters=study.parameters, seed=context.seed, steps=steps)
        for c in study.configurations:
            for row, estimator in names.items():
                if leaves_out(c) or estimator == "plug-in":
                    variance = sketched.loss_gradient_variance(c, context.beta, seed=context.seed, estimator=estimator)
                    values[row][c].append(variance)
    n = steps * pool_budget.n_yt
    for row in names:
        note = f"{study.note}; {SKETCHED}" + (f"; {NEEDS_TWO}" if row.endswith("loo") else "")
        yield Measured(row, "pooled", values[row], n, predictions(known, row), note)
