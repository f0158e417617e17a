"""Inner products of the gradients of every mask: all that second moments of gradients need."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import batching, elbo
from vrpo_theory.errors import InputError
from vrpo_theory.exact.cases import within
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.models.base import differentiating, select_parameters, trainable
from vrpo_theory.types import SIDES, Case, PreferencePair, Request, Side, Trainable

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float64]
Rows = NDArray[np.floating]

GRAM_LENGTH = 10
"""Longest response, or block: two of ten tokens have 2,046 masks, a Gram matrix of 33 MB; more there may not be."""
NUMBERS = 2**26
"""Most numbers of gradients held at a time: 268 MB in float32, 510 masks of 131,000 parameters."""


@dataclass(frozen=True, eq=False)
class GradientGram:
    """Gram matrix of grad S_m, S_m the unweighted sum of mask m under the policy.

    Parameters
    ----------
    pair : PreferencePair
    gram : (M, M) float64
        Rows are the non-empty masks of the chosen response, in the order of `all_masks`, then the rejected one's; under
        block diffusion those of its blocks, one after another.
    block_length : int or None
        The models'.
    """

    pair: PreferencePair
    gram: Array
    block_length: int | None = None

    def parts(self, side: Side) -> list[slice]:
        """The rows of the masks of each of a response's blocks."""
        edges = np.cumsum(
            [0, *(2**n - 1 for n in self._lengths("chosen")), *(2**n - 1 for n in self._lengths("rejected"))]
        )
        found = [slice(a, b) for a, b in pairwise(edges.tolist())]
        first = len(self._lengths("chosen"))
        return found[:first] if side == "chosen" else found[first:]

    def rows(self, side: Side) -> slice:
        """The rows of one response's masks."""
        parts = self.parts(side)
        return slice(parts[0].start, parts[-1].stop)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """l, the masked tokens of every row, (M,)."""
        return np.concatenate([all_masks(n)[1:].sum(1) for side in SIDES for n in self._lengths(side)])

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """L of every row's response, or block, (M,)."""
        return np.concatenate([np.full(2**n - 1, n) for side in SIDES for n in self._lengths(side)])

    def _lengths(self, side: Side) -> list[int]:
        return [part.length for part in self.pair.side(side).blocks(self.block_length)]

    @cached_property
    def prob(self) -> Array:
        """Probability of every mask among its part's under the count form, 1/(L C(L, l)), (M,)."""
        from scipy.special import comb

        found: Array = 1 / (self.lengths * comb(self.lengths, self.counts))
        return found

    def norm(self, coefficients: Array) -> float:
        """||sum of coefficients_m grad S_m|| for coefficients (M,)."""
        return math.sqrt(max(0.0, float(coefficients @ self.gram @ coefficients)))


def gradient_grams(
    case: Case,
    parameters: Sequence[str] = ("full",),
    *,
    numbers: int = NUMBERS,
    progress: elbo.Progress | None = None,
) -> list[GradientGram]:
    """Gram matrices of a case's per-mask gradients, one per selection of parameters, all from the same gradients.

    Parameters
    ----------
    case : Case
        ``case.policy`` is a torch model; it is left as it was, flags and gradients included.
    parameters : sequence of {"full", "up-proj"}
        As in `vrpo_theory.models.base.select_parameters`.
    numbers : int
        Bounds the numbers of gradients in memory, unless two rows have more. Where they do not all fit, rows come in
        blocks, and a block is computed again for every later one.

    Raises
    ------
    InputError
        If a part has more than `GRAM_LENGTH` tokens, there are too many masks, or the model has no such parameters.
    FloatingPointError
        If a gradient is not finite.
    """
    if not within(case, 2**GRAM_LENGTH):
        longest = max(part.length for side in SIDES for part in case.parts(side))
        raise InputError(f"gradients of every mask stop at {GRAM_LENGTH} tokens, got {longest}: use --method mc")
    requests = [(r, mask[None]) for side in SIDES for r in case.parts(side) for mask in all_masks(r.length)[1:]]
    if len(requests) > 2 ** (GRAM_LENGTH + 1):
        raise InputError(
            f"gradients of every mask stop at {2 ** (GRAM_LENGTH + 1)} masks, got {len(requests)}: use --method mc"
        )
    policy = trainable(case.policy)
    groups = [{id(p) for p in select_parameters(policy, name)} for name in parameters]
    used = [p for p in policy.parameters() if any(id(p) in group for group in groups)]
    grams = np.zeros((len(groups), len(requests), len(requests)))
    with differentiating(policy, used):
        for a, b, products in _products(policy, used, requests, numbers, progress):
            for p, product in zip(used, products, strict=True):
                for gram, group in zip(grams, groups, strict=True):
                    if id(p) in group:
                        gram[a, b] += product
            grams[:, b, a] = grams[:, a, b].transpose(0, 2, 1)
    if not np.isfinite(grams).all():
        raise FloatingPointError(f"pair {case.pair.id!r}: a gradient is not finite: check the policy's weights")
    return [GradientGram(case.pair, gram, case.block_length) for gram in grams]


def _products(
    model: Trainable,
    used: Sequence[nn.Parameter],
    requests: Sequence[Request],
    numbers: int,
    progress: elbo.Progress | None,
) -> Iterator[tuple[slice, slice, Iterator[Array]]]:
    """Every block of the lower triangle: its rows, its columns, and one matrix of inner products a parameter."""
    width = sum(p.numel() for p in used)
    height = len(requests) if len(requests) * width <= numbers else max(1, numbers // (2 * width))
    blocks = [slice(k, min(k + height, len(requests))) for k in range(0, len(requests), height)]
    for i, a in enumerate(blocks):
        left = _gradients(model, used, requests[a], progress)
        for b in blocks[:i]:
            right = _gradients(model, used, requests[b])
            yield a, b, (_double(x) @ _double(y).T for x, y in zip(left, right, strict=True))
        yield a, a, (y @ y.T for y in map(_double, left))


def _gradients(
    model: Trainable, used: Sequence[nn.Parameter], requests: Sequence[Request], progress: elbo.Progress | None = None
) -> list[Rows]:
    """Gradients of one mask a request, a matrix (masks, numbers) a parameter, in the model's precision."""
    import torch

    kept = [torch.zeros(len(requests), p.numel(), dtype=p.dtype) for p in used]
    for row, request in enumerate(requests):
        log_prob = batching.log_prob([request], model)
        found = torch.autograd.grad(log_prob.double().sum(), used, allow_unused=True)
        for out, gradient in zip(kept, found, strict=True):
            if gradient is not None:
                out[row] = gradient.flatten()
        if progress is not None:
            progress(1)
    return [out.float().numpy() if out.dtype == torch.bfloat16 else out.numpy() for out in kept]


def _double(rows: Rows) -> Array:
    return rows.astype(np.float64)
