"""Variance of the plug-in DPO-E gradient, by replication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, preference
from vrpo_theory.models.base import differentiating, select_parameters, trainable
from vrpo_theory.numerics import variance_from_squares
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import Case, Estimate


def gradient_variance(
    case: Case,
    scheme: Scheme,
    repeats: int,
    *,
    seed: int,
    parameters: str = "full",
    beta: float = preference.BETA,
    batch_tokens: int = batching.BATCH_TOKENS,
    scores: Sequence[float] | None = None,
) -> Estimate:
    """Trace of the covariance of grad loss_hat over independent draws.

    Parameters
    ----------
    parameters : {"full", "up-proj"}
        All parameters of the policy, or the up-projection of its first block (the paper's proxy, 2505.19223v2, D.5).
    scores : (repeats,) floats, optional
        s_hat of repeats 0, 1, ... where known already; saves the first pass.

    Raises
    ------
    InputError
        If the model has no such parameters.

    Examples
    --------
    >>> from vrpo_theory import MODELS
    >>> case = MODELS["llada"].case(seed=0, length=4)
    >>> variance = gradient_variance(case, Scheme.parse("n_t=2"), repeats=4, seed=0, parameters="up-proj")
    >>> 0 < variance.value < float("inf")
    True
    """
    chosen = select_parameters(case.policy, parameters)
    rows = []
    with differentiating(trainable(case.policy), chosen):
        for repeat in range(repeats):
            draws = scheme.draws(case, seed=seed, repeat=repeat)
            known = None if scores is None else float(scores[repeat])
            preference.backward(case, draws, scheme.weighting, beta=beta, batch_tokens=batch_tokens, score=known)
            rows.append(_take_gradient(chosen))
    mean = np.mean(rows, axis=0, dtype=float)
    return variance_from_squares(np.array([np.sum((row - mean) ** 2, dtype=float) for row in rows]))


def _take_gradient(chosen: Sequence[Any]) -> NDArray[Any]:
    """The accumulated gradient as one row in the model's precision; the next one starts from nothing."""
    import torch

    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in chosen]
    row = torch.cat([g.detach().flatten() for g in parts]).cpu()
    for p in chosen:
        p.grad = None
    return (row if row.dtype == torch.float64 else row.float()).numpy()
