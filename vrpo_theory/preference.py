"""Score, DPO-E loss and its gradient, as functions of ELBO estimates (2505.19223v2, Eq. 7-8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory import batching, elbo, functionals
from vrpo_theory.batching import WeightedTerms
from vrpo_theory.couplings import Draw
from vrpo_theory.losses.dpo import DPO
from vrpo_theory.models.base import trainable
from vrpo_theory.numerics import total
from vrpo_theory.types import ROLES, Case, Predictor
from vrpo_theory.weightings.base import Weighting

BETA = 0.2


def require_beta(beta: float) -> None:
    """ValueError unless beta is a finite number of at least 0."""
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number of at least 0, got {beta}: DPO's is 0.2 here")


def loss(score: ArrayLike) -> NDArray[np.float64]:
    """DPO loss -log sigmoid(s) in nats.

    >>> loss([0.0, 1.0]).round(4)
    array([0.6931, 0.3133])
    """
    return DPO.value(score)


def contributions(
    cases: Sequence[Case],
    draws: Sequence[Sequence[Draw]],
    weighting: Weighting,
    *,
    batch_tokens: int = batching.BATCH_TOKENS,
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
    return contributions_by(cases, draws, [weighting], batch_tokens=batch_tokens, progress=progress)[0]


def contributions_by(
    cases: Sequence[Case],
    draws: Sequence[Sequence[Draw]],
    weightings: Sequence[Weighting],
    *,
    batch_tokens: int = batching.BATCH_TOKENS,
    progress: elbo.Progress | None = None,
) -> list[list[list[NDArray[np.float64]]]]:
    """`contributions` under several weightings of the same masks, which are evaluated once."""
    out = [[[np.zeros((len(d.masks.mask), 2)) for d in row] for row in draws] for _ in weightings]
    for stream in _streams(cases, draws):
        requests = [(draws[i][j].response, draws[i][j].masks.mask) for i, j in stream.jobs]
        with elbo.naming(cases):
            swept = elbo.sweep(requests, stream.models, batch_tokens=batch_tokens, progress=progress)
        for (i, j), *values in zip(stream.jobs, *swept, strict=True):
            for weighting, found in zip(weightings, out, strict=True):
                weights = weighting.weights(draws[i][j].masks)
                for column, value in zip(stream.columns, values, strict=True):
                    found[i][j][:, column] = (weights * value).sum(1)
    return out


@dataclass(frozen=True)
class _Stream:
    """Contrasts that the same models are evaluated on.

    Parameters
    ----------
    columns : tuple of int
        Place of each model among `ROLES`.
    models : list of Predictor
    jobs : list of (int, int)
        Case and contrast.
    """

    columns: tuple[int, ...]
    models: list[Predictor]
    jobs: list[tuple[int, int]]


def _streams(cases: Sequence[Case], draws: Sequence[Sequence[Draw]]) -> list[_Stream]:
    """A stream for each set of models: where masks are shared, policy and reference see every mask in one sweep."""
    found: dict[tuple[tuple[int, int], ...], _Stream] = {}
    for i, row in enumerate(draws):
        for j, draw in enumerate(row):
            columns = tuple(ROLES.index(role) for role in draw.contrast.roles)
            models = [cases[i].model(role) for role in draw.contrast.roles]
            key = tuple((column, id(model)) for column, model in zip(columns, models, strict=True))
            found.setdefault(key, _Stream(columns, models, [])).jobs.append((i, j))
    return list(found.values())


def margin(draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]]) -> float:
    """Estimate of (B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected), in nats.

    Each contrast is summed first, so that swapping the pair negates the margin exactly.
    """
    return total([contrast_values(draw, addend).sum() for draw, addend in zip(draws, addends, strict=True)])


def contrast_values(draw: Draw, addend: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each mask's addend of the margin, (n,)."""
    found: NDArray[np.float64] = addend @ np.array(draw.contrast.coefficients)
    return found


def block_scores(
    draws: Sequence[Draw], addends: Sequence[NDArray[np.float64]], weighting: Weighting, beta: float
) -> NDArray[np.float64]:
    """Scores of the independent blocks whose mean is the score, (m,).

    Blocks are the timesteps of an iid design under separable weights; else the groups, one or more.
    """
    number = blocks(draws, weighting)
    out = np.zeros(number)
    for draw, addend, block in zip(draws, addends, _block_ids(draws, weighting), strict=True):
        out += np.bincount(block, contrast_values(draw, addend), number)
    return beta * number / groups(draws) * out


def backward(
    case: Case,
    draws: Sequence[Draw],
    weighting: Weighting,
    *,
    beta: float = BETA,
    batch_tokens: int = batching.BATCH_TOKENS,
    score: float | None = None,
    addends: Sequence[NDArray[np.float64]] | None = None,
    estimator: str = "plug-in",
) -> float:
    """Accumulate the gradient of -log sigmoid(s_hat) in the policy parameters' ``.grad``; return s_hat.

    Two passes: s_hat without a graph, then the chain rule through its constant slopes, batch by batch. So peak memory
    is a batch's: at equal ``batch_tokens`` it does not grow with n once n fills a batch, and the plug-in's result is
    autograd's.

    Parameters
    ----------
    case : Case
        ``case.policy`` is a torch model whose parameters require gradients.
    draws : sequence of Draw
        From `vrpo_theory.Scheme.draw`; those of several groups, `Scheme.draws`, make the mean of their scores.
    score : float, optional
        s_hat of these very draws, where the caller has it already; for the plug-in.
    addends : per draw, (n, 2) float, optional
        What `contributions` gives for these very draws, where the caller has it already.
    estimator : {"plug-in", "jackknife", "leave-one-out"}
        See `vrpo_theory.functionals.slopes`.

    Raises
    ------
    ValueError
        If an estimator leaves blocks out and there is only one.

    Examples
    --------
    >>> from vrpo_theory import MODELS, Scheme
    >>> case, scheme = MODELS["llada"].case(seed=0, length=4), Scheme.parse("n_t=2")
    >>> score = backward(case, scheme.draws(case.pair, seed=0), scheme.weighting)
    >>> all(p.grad is not None for p in case.policy.parameters())
    True
    """
    policy = trainable(case.policy)
    if score is None or estimator != "plug-in":
        addends = addends or contributions([case], [draws], weighting, batch_tokens=batch_tokens)[0]
        slopes = functionals.slopes(estimator, DPO.slope, block_scores(draws, addends, weighting, beta))
        score = beta * margin(draws, addends) / groups(draws)
    else:
        slopes = DPO.slope(np.full(blocks(draws, weighting), score))
    policy_terms(draws, weighting, slopes, beta=beta).backward(policy, batch_tokens)
    return score


def policy_terms(
    draws: Sequence[Draw], weighting: Weighting, slopes: NDArray[np.float64], *, beta: float
) -> WeightedTerms:
    """The policy's terms whose gradient is mean_k c_k grad x_k, x_k the scores of the independent blocks.

    Parameters
    ----------
    slopes : (m,) float
        c_k of every block, as `vrpo_theory.functionals.slopes` gives them.
    """
    seen = [
        (draw, beta / groups(draws) * slopes[ids] * draw.contrast.coefficient("policy"))
        for draw, ids in zip(draws, _block_ids(draws, weighting), strict=True)
        if draw.contrast.coefficient("policy")
    ]
    requests = [(draw.response, draw.masks.mask) for draw, _ in seen]
    return WeightedTerms(requests, [slope[:, None] * weighting.weights(draw.masks) for draw, slope in seen])


def blocks(draws: Sequence[Draw], weighting: Weighting) -> int:
    """How many independent blocks' scores have the score as their mean."""
    return 1 + max(int(ids.max()) for ids in _block_ids(draws, weighting))


def groups(draws: Sequence[Draw]) -> int:
    return len({draw.group for draw in draws})


def _block_ids(draws: Sequence[Draw], weighting: Weighting) -> list[NDArray[np.int64]]:
    """Independent block of every mask, (n,) a draw, counted from 0."""
    groups = sorted({draw.group for draw in draws})
    per_group = 1 + max(int(draw.masks.block.max()) for draw in draws) if weighting.separable else 1
    within = [draw.masks.block if weighting.separable else np.zeros_like(draw.masks.block) for draw in draws]
    return [groups.index(draw.group) * per_group + block for draw, block in zip(draws, within, strict=True)]
