"""Peak memory of scoring, of the output head, and of the DPO-E gradient, each in a fresh process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from typing import Any

import torch
from _llada_models import Setting
from measuring import MB, peak_memory
from torch.nn.functional import linear

from vrpo_theory import Budget, Scheme, backward, sampling
from vrpo_theory.checkpoints.wrapped import scored
from vrpo_theory.models.llada.predictor import LOGITS
from vrpo_theory.weightings.plain import PLAIN

BUDGETS = (2, 32)
MICRO = (2, 4)
"""Sequences of a batch of the gradient. Two at n = 2 make two batches, so that a gradient is held while the next one is
computed, as at any larger n; four are one batch, which holds none yet."""
Work = Callable[[], object]


def scoring(setting: list[Any]) -> Work:
    """The score of one pair at n = 8."""
    made = Setting(*setting)
    cases, batch_tokens = made.cases(1), made.size.batch_tokens
    return lambda: sampling.estimate_scores(cases, Scheme(budget=Budget(8, 1)), seed=0, batch_tokens=batch_tokens)


def gradient(setting: list[Any], n: int, micro_batch: int) -> Work:
    """The gradient of one pair in all parameters of the policy, from n masks per response."""
    made = Setting(*setting)
    (case,) = made.cases(1)
    draws = Scheme(budget=Budget(n, 1)).draw(case.pair, seed=0)
    return lambda: backward(case, draws, PLAIN, batch_tokens=micro_batch * made.size.length)


def head(setting: list[Any], batch: int, chunk: int | None) -> Work:
    """Log-probabilities from hidden states, half of the answer masked; None: logits of every position at once."""
    made = Setting(*setting)
    size, place = made.size, {"device": made.device}
    generator = torch.Generator(made.device).manual_seed(0)
    shape, width = (batch, size.length), size.config.d_model
    dtype = getattr(torch, made.dtype)
    weight = torch.empty(size.config.rows, width, dtype=dtype, **place).normal_(0, 0.02, generator=generator)
    hidden = torch.empty(*shape, width, dtype=dtype, **place).normal_(generator=generator)
    tokens = torch.randint(size.config.rows, shape, generator=generator, **place)
    mask = (torch.arange(size.length, **place) >= size.length - size.answer // 2).expand(shape)

    @torch.no_grad()
    def work() -> torch.Tensor:
        if chunk is None:
            return linear(hidden, weight).float().log_softmax(-1).gather(2, tokens[..., None])
        return scored(partial(linear, weight=weight), hidden[mask], mask, tokens, chunk)

    return work


def _row(setting: Setting, what: str, make: Callable[..., Work], *arguments: Any, **about: Any) -> dict[str, Any]:
    """Peak, and growth above what was there before the work, on the device where the work is done."""
    found = peak_memory(make, astuple(setting), *arguments)
    gpu = "gpu_" if setting.device.startswith("cuda") else ""
    peak, before = found[f"{gpu}peak_mb"], found[f"{gpu}baseline_mb"]
    return {"what": what, **about, "peak_mb": peak, "above_baseline_mb": peak - before, "seconds": found["seconds"]}


def whole(setting: Setting) -> list[dict[str, Any]]:
    """Rows of scoring and of the gradient."""
    score = _row(setting, "score, n = 8", scoring, micro_batch=setting.size.batch)
    gradients = [
        _row(setting, f"gradient, n = {n}", gradient, n, size, micro_batch=size) for size in MICRO for n in BUDGETS
    ]
    return [score, *gradients]


def head_row(setting: Setting, batch: int, chunk: int | None) -> dict[str, Any]:
    """The output head of one batch."""
    size, own = setting.size, _own(setting)
    held = batch * size.length if chunk is None else min(chunk, batch * (size.answer // 2))
    name = "all logits" if chunk is None else f"chunk {chunk}" + " (the package's)" * (chunk == own)
    return _row(setting, name, head, batch, chunk, batch=batch, logits_mb=4 * held * size.config.rows / MB)


def heads(setting: Setting) -> list[dict[str, Any]]:
    """Rows of the output head: chunks against all logits, for a batch and for one eight times as large."""
    own, batch = _own(setting), setting.size.batch
    return [head_row(setting, k * batch, chunk) for k in (1, 8) for chunk in (own // 4, own // 2, own, None)]


def _own(setting: Setting) -> int:
    """Positions whose logits the package lets exist at one time."""
    return LOGITS // setting.size.config.rows
