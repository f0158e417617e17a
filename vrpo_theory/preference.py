"""Score, DPO-E loss and its gradient, as functions of ELBO estimates (layer 2; 2505.19223v2, Eq. 7-8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory import elbo
from vrpo_theory.couplings import Draw
from vrpo_theory.numerics import log_sigmoid, sigmoid, total
from vrpo_theory.types import ROLES, Case, Response, Role
from vrpo_theory.weightings.base import Weighting

if TYPE_CHECKING:
    from torch import Tensor

BETA = 0.2

_Row = tuple[Response, NDArray[np.bool_], NDArray[np.float64]]


def loss(score: ArrayLike) -> NDArray[np.float64]:
    """DPO loss -log sigmoid(s) in nats."""
    return -log_sigmoid(score)


def contributions(
    cases: Sequence[Case],
    draws: Sequence[Sequence[Draw]],
    weighting: Weighting,
    *,
    batch_size: int = elbo.BATCH_SIZE,
    progress: elbo.Progress | None = None,
) -> list[list[NDArray[np.float64]]]:
    """What every mask adds to the ELBO estimates, in one stream of batches a model.

    Parameters
    ----------
    cases : sequence of Case
    draws : for every case, its contrasts' draws

    Returns
    -------
    list of list of (n, 2) arrays
        Per case and contrast: each mask's addend of B_hat under policy and reference (0 where the contrast does not
        involve the model), in nats. `margin` sums them.
    """
    out = [[np.zeros((len(d.masks.mask), 2)) for d in row] for row in draws]
    weights = [[weighting.weights(d.masks) for d in row] for row in draws]
    for column, role in enumerate(ROLES):
        models = {id(case.model(role)): case.model(role) for case in cases}
        for key, model in models.items():
            jobs = [
                (i, j)
                for i, row in enumerate(draws)
                for j, draw in enumerate(row)
                if id(cases[i].model(role)) == key and draw.contrast.coefficient(role)
            ]
            requests = [(draws[i][j].response, draws[i][j].masks.mask) for i, j in jobs]
            values = elbo.terms(requests, model, batch_size=batch_size, progress=progress)
            for (i, j), value in zip(jobs, values, strict=True):
                out[i][j][:, column] = (weights[i][j] * value).sum(1)
    return out


def margin(draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> float:
    """Estimate of (B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected), in nats.

    Each contrast is summed first, so that swapping the pair negates the margin exactly.
    """
    return total([contrast_values(draw, addend).sum() for draw, addend in zip(draws, addends, strict=True)])


def contrast_values(draw: Draw, addend: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each mask's addend of the margin, (n,)."""
    return addend @ np.array(draw.contrast.coefficients)


def backward(
    case: Case,
    draws: Sequence[Draw],
    weighting: Weighting,
    *,
    beta: float = BETA,
    batch_size: int = elbo.BATCH_SIZE,
    score: float | None = None,
) -> float:
    """Accumulate the gradient of -log sigmoid(s_hat) in the policy parameters' ``.grad``; return s_hat.

    Two passes: s_hat without a graph, then the chain rule through the constant -sigmoid(-s_hat), batch by batch. So
    peak memory does not grow with n, and the result is autograd's of the plug-in loss.

    Parameters
    ----------
    case : Case
        ``case.policy`` is a torch model whose parameters require gradients.
    draws : sequence of Draw
        From `vrpo_theory.couplings.Coupling.draw`.
    score : float, optional
        s_hat of these very draws, where the caller has it already.
    """
    if score is None:
        score = beta * margin(draws, contributions([case], [draws], weighting, batch_size=batch_size)[0])
    slope = -float(sigmoid(-score)) * beta
    rows = _weighted_rows(draws, weighting, "policy")
    for start in range(0, len(rows), batch_size):
        (slope * _weighted_sum(case.policy, rows[start : start + batch_size])).backward()
    return score


def _weighted_rows(draws: Sequence[Draw], weighting: Weighting, role: Role) -> list[_Row]:
    """Every non-empty mask that the model is evaluated on, with its weights in the margin."""
    return [
        (draw.response, mask, draw.contrast.coefficient(role) * weights)
        for draw in draws
        for mask, weights in zip(draw.masks.mask, weighting.weights(draw.masks), strict=True)
        if draw.contrast.coefficient(role) and mask.any()
    ]


def _weighted_sum(model: Any, rows: Sequence[_Row]) -> Tensor:
    import torch

    log_prob = model.log_prob(*elbo.collate([(response, mask) for response, mask, _ in rows], model))
    weights = np.zeros(log_prob.shape)
    for line, (response, _, row_weights) in zip(weights, rows, strict=True):
        line[elbo.answer_columns(response)] = row_weights
    return (log_prob.double() * torch.from_numpy(weights).to(log_prob.device)).sum()
