"""Writing responses token by token with a LLaDA, and how many are right.

The canvas has the response's length from the start; every step unmasks one token of every response.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vrpo_theory import batching
from vrpo_theory.models.llada import LLaDA
from vrpo_theory.randomness import Address
from vrpo_theory.types import Estimate, Request, Response

Ids = tuple[int, ...]
Canvas = tuple[Ids, int]
"""A prompt and the number of tokens to write, EOS included."""
Chooser = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From probabilities (B, T, V), the place's uniforms and the token's, (B, T): every place's priority and token."""

ROWS = 256
"""Responses that are written side by side."""


def confident(prob: Tensor, place: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
    """Low-confidence remasking, greedily: the most confident token first, its likeliest value."""
    best = prob.max(-1)
    return best.values, best.indices


def diffusion(prob: Tensor, place: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
    """Uniformly random order, sampled values: the sampler whose law is `vrpo_theory.exact.MaskTable.log_likelihood`."""
    reached = prob.cumsum(-1)
    return place, (reached <= token[..., None] * reached[..., -1:]).sum(-1)


SAMPLERS: dict[str, Chooser] = {"low_confidence": confident, "diffusion": diffusion}


def decode(model: LLaDA, canvases: Sequence[Canvas], sampler: str, *, seed: int = 0) -> list[Ids]:
    """Write a response to every prompt.

    Parameters
    ----------
    canvases : sequence of (prompt ids, length)
    sampler : {"low_confidence", "diffusion"}
    seed : int
        Of the diffusion sampler; a canvas's draws depend on it and the canvas alone.
    """
    parts = [canvases[start : start + ROWS] for start in range(0, len(canvases), ROWS)]
    return [response for part in parts for response in _write(model, part, SAMPLERS[sampler], seed)]


def accuracy(right: Sequence[bool]) -> Estimate:
    """Share of right responses, with its binomial standard error."""
    share = sum(right) / len(right)
    return Estimate(share, math.sqrt(share * (1 - share) / len(right)))


@torch.no_grad()
def _write(model: LLaDA, canvases: Sequence[Canvas], choose: Chooser, seed: int) -> list[Ids]:
    requests = [(Response(prompt, (0,) * length), np.ones((1, length), bool)) for prompt, length in canvases]
    tokens, answer, masked, attention = batching.collate(requests, model)
    tokens = tokens.masked_fill(masked | ~attention, model.mask_token_id)
    uniforms = [torch.from_numpy(u).to(model.device) for u in _uniforms(requests, seed)]
    while masked.any():
        prob = _probabilities(model, tokens, attention)
        priority, token = choose(prob, *uniforms)
        column = priority.masked_fill(~masked, -1.0).argmax(1, keepdim=True)
        writes = masked.gather(1, column)
        tokens.scatter_(1, column, torch.where(writes, token.gather(1, column), tokens.gather(1, column)))
        masked.scatter_(1, column, False)
    return [tuple(row[columns].tolist()) for row, columns in zip(tokens, answer, strict=True)]


def _probabilities(model: LLaDA, tokens: Tensor, attention: Tensor) -> Tensor:
    """Of every token at every place, (B, T, V) float64; the mask token is never written."""
    logits = model.module(tokens, attention).logits[..., : model.vocabulary].double()
    logits[..., model.mask_token_id] = -math.inf
    prob: Tensor = logits.softmax(-1)
    return prob


def _uniforms(requests: Sequence[Request], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniforms that order the places and choose the tokens, each (B, T), as `batching.collate` lays out tokens."""
    drawn = [Address(seed, "decode", r.length, 1, r.key).uniforms() for r, _ in requests]
    place = [u.level(1, r.length) for u, (r, _) in zip(drawn, requests, strict=True)]
    token = [u.mask(1, r.length) for u, (r, _) in zip(drawn, requests, strict=True)]
    return batching.spread(requests, place), batching.spread(requests, token)
