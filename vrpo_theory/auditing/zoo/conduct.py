"""Mistakes in randomness, standard error or budget, which mostly leave the mean right."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vrpo_theory.auditing.zoo.right import count_form
from vrpo_theory.auditing.zoo.specimens import LogitModel, counted, masked_sums, specimen, uniform_counts


@specimen("rejected", "fixed-draw", lengths=(8,))
def fixed_draw(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Seeds its own generator afresh at every call."""
    return count_form(model, prompt, answer, n, torch.Generator().manual_seed(0))


@specimen("accepted", "global-generator", lengths=(8,), toys=("rough",))
def global_generator(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Draws from torch's global generator: unbiased, but it does not repeat and disturbs all other code."""
    return count_form(model, prompt, answer, n, torch.default_generator)


@specimen("accepted", "false-standard-error", lengths=(8,), toys=("copied",))
def shared_count(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator
) -> tuple[float, float | None]:
    """All rows share one count, but the standard error treats them as independent: too small."""
    length = len(answer)
    counts = uniform_counts(1, length, generator).expand(n)
    each = length / counts * masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float(each.mean()), float(each.std()) / n**0.5 if n > 1 else None


@specimen("accepted", "over-budget", lengths=(8,), toys=("rough",))
def over_budget(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Uses twice the forward rows it was allowed."""
    return count_form(model, prompt, answer, 2 * n, generator)
