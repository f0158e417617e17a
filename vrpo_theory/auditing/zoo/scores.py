"""Mistakes in what is scored: the wrong tokens, the wrong scale, too few digits."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from vrpo_theory.auditing.zoo.right import count_form
from vrpo_theory.auditing.zoo.specimens import (
    LogitModel,
    counted,
    masked_sums,
    shown,
    specimen,
    token_terms,
    uniform_counts,
)

BLOCK = 8


@specimen("rejected", "padded-length")
def padded_length(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The answer is padded to a multiple of 8; the score is a mean over that length, times the true one."""
    length = len(answer)
    padding = -length % BLOCK
    counts = uniform_counts(n, length, generator)
    mask = counted(counts, length, generator)
    ids = torch.nn.functional.pad(shown(model, prompt, answer, mask), (0, padding), value=model.config.pad_token_id)
    attention = torch.ones_like(ids)
    attention[:, ids.shape[1] - padding :] = 0
    logits = model(ids, attention_mask=attention).logits[:, len(prompt) : len(prompt) + length]
    sums = (token_terms(logits, answer) * mask).sum(1)
    return float((length / counts * sums).mean() / (length + padding) * length)


@specimen("rejected", "per-token-mean")
def per_token_mean(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The mean over tokens."""
    return count_form(model, prompt, answer, n, generator) / len(answer)


@specimen("rejected", "wrong-sign")
def negative_elbo(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The loss, with its sign."""
    return -count_form(model, prompt, answer, n, generator)


@specimen("rejected", "prompt-masked", lengths=(2, 8), toys=("rough",))
def prompt_masked(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Masks are drawn over both prompt and answer; the answer is scored."""
    whole = torch.cat([prompt, answer])
    counts = uniform_counts(n, len(whole), generator)
    mask = counted(counts, len(whole), generator)
    logits = model(shown(model, prompt[:0], whole, mask)).logits
    sums = (token_terms(logits, whole) * mask)[:, len(prompt) :].sum(1)
    return float((len(whole) / counts * sums).mean())


@specimen("rejected", "visible-scored")
def visible_scored(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Cross-entropy summed over the whole answer, visible tokens included."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    logits = model(shown(model, prompt, answer, counted(counts, length, generator))).logits[:, len(prompt) :]
    return float((length / counts * token_terms(logits, answer).sum(1)).mean())


@specimen("rejected", "prompt-scored")
def prompt_scored(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Masked answer tokens and the whole prompt are scored."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    mask = counted(counts, length, generator)
    logits = model(shown(model, prompt, answer, mask)).logits
    scored = torch.cat([torch.ones(n, len(prompt), dtype=torch.bool), mask], 1)
    sums = (token_terms(logits, torch.cat([prompt, answer])) * scored).sum(1)
    return float((length / counts * sums).mean())


@specimen("rejected", "eos-dropped")
def eos_unscored(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Positions that hold the padding id are not scored; it is also the end of sequence."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    mask = counted(counts, length, generator)
    logits = model(shown(model, prompt, answer, mask)).logits[:, len(prompt) :]
    sums = (token_terms(logits, answer) * (mask & (answer != model.config.pad_token_id))).sum(1)
    return float((length / counts * sums).mean())


@specimen("rejected", "eos-as-context")
def eos_unmasked(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The end of sequence counts as padding: never masked, nor part of the length."""
    length = int((answer != model.config.pad_token_id).sum())
    if length == 0:
        return 0.0
    counts = uniform_counts(n, length, generator)
    mask = torch.nn.functional.pad(counted(counts, length, generator), (0, len(answer) - length))
    return float((length / counts * masked_sums(model, prompt, answer, mask)).mean())


@specimen("rejected", "bfloat16", n=(8,))
def bfloat16(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The log-softmax is taken in bfloat16."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    mask = counted(counts, length, generator)
    logits = model(shown(model, prompt, answer, mask)).logits[:, len(prompt) :].bfloat16()
    terms = logits.log_softmax(-1).gather(-1, answer.expand(n, -1)[..., None])[..., 0].double()
    return float((length / counts * (terms * mask).sum(1)).mean())


@specimen("rejected", "constant-factor", n=(8,))
def half_as_much_again(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """A factor 1.5 from somewhere."""
    return 1.5 * count_form(model, prompt, answer, n, generator)


@specimen("rejected", "padded-length", lengths=(2, 5, 8), toys=("copied", "rough"))
def mean_over_padded_length(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The mean over the length padded to a multiple of 8."""
    return count_form(model, prompt, answer, n, generator) / (BLOCK * math.ceil(len(answer) / BLOCK))


@specimen("rejected", "log-mean", lengths=(2, 8), n=(8,), toys=("copied", "long_tailed"))
def log_mean(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The log of the mean of the exponentials, as for importance weights: above the ELBO, and below log p(y)."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    each = length / counts * masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float(each.logsumexp(0)) - math.log(n)
