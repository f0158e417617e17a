"""Score, DPO-E loss and its gradient, as functions of ELBO estimates (layer 2; 2505.19223v2, Eq. 7-8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory import elbo
from vrpo_theory.couplings import Draw
from vrpo_theory.numerics import log_sigmoid, sigmoid, total
from vrpo_theory.types import ROLES, Case, Role
from vrpo_theory.weightings.base import Weighting

if TYPE_CHECKING:
    from torch import Tensor

BETA = 0.2


def loss(score: ArrayLike) -> NDArray[np.float64]:
    """DPO loss -log sigmoid(s) in nats."""
    return -log_sigmoid(score)


def contributions(
    cases: Sequence[Case],
    draws: Sequence[Sequence[Draw]],
    weighting: Weighting,
    *,
    batch_tokens: int = elbo.BATCH_TOKENS,
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
    for columns, models, jobs in _streams(cases, draws):
        requests = [(draws[i][j].response, draws[i][j].masks.mask) for i, j in jobs]
        swept = elbo.sweep(requests, models, batch_tokens=batch_tokens, progress=progress)
        for column, values in zip(columns, swept, strict=True):
            for (i, j), value in zip(jobs, values, strict=True):
                out[i][j][:, column] = (weights[i][j] * value).sum(1)
    return out


def _streams(
    cases: Sequence[Case], draws: Sequence[Sequence[Draw]]
) -> list[tuple[tuple[int, ...], list[Any], list[tuple[int, int]]]]:
    """Contrasts that the same models are evaluated on: the models' columns, the models, and (case, contrast) indices.

    Where masks are shared, policy and reference so see every mask in one sweep.
    """
    found: dict[tuple[tuple[int, int], ...], tuple[tuple[int, ...], list[Any], list[tuple[int, int]]]] = {}
    for i, row in enumerate(draws):
        for j, draw in enumerate(row):
            columns = tuple(ROLES.index(role) for role in draw.contrast.roles)
            models = [cases[i].model(role) for role in draw.contrast.roles]
            key = tuple((column, id(model)) for column, model in zip(columns, models, strict=True))
            found.setdefault(key, (columns, models, []))[2].append((i, j))
    return list(found.values())


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
    batch_tokens: int = elbo.BATCH_TOKENS,
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
        score = beta * margin(draws, contributions([case], [draws], weighting, batch_tokens=batch_tokens)[0])
    slope = -float(sigmoid(-score)) * beta
    requests, weights = _weighted(draws, weighting, "policy")
    for pieces in elbo.batches(requests, batch_tokens):
        part = [weights[r][rows] for r, rows in pieces]
        (slope * _weighted_sum(case.policy, elbo.select(requests, pieces), part)).backward()
    return score


def _weighted(
    draws: Sequence[Draw], weighting: Weighting, role: Role
) -> tuple[list[elbo.Request], list[NDArray[np.float64]]]:
    """What a model is evaluated on, and the weights of its token terms in the margin."""
    seen = [draw for draw in draws if draw.contrast.coefficient(role)]
    requests = [(draw.response, draw.masks.mask) for draw in seen]
    return requests, [draw.contrast.coefficient(role) * weighting.weights(draw.masks) for draw in seen]


def _weighted_sum(model: Any, requests: Sequence[elbo.Request], weights: Sequence[NDArray[np.float64]]) -> Tensor:
    import torch

    log_prob = model.log_prob(*elbo.collate(requests, model))
    return (log_prob.double() * torch.from_numpy(elbo.spread(requests, weights)).to(log_prob.device)).sum()
