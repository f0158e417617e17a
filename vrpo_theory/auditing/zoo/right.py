"""Estimators without bias. All but the unfloored time form have a finite variance and are accepted."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vrpo_theory.auditing.zoo.specimens import LogitModel, counted, masked_sums, specimen, timed, uniform_counts


@specimen("accepted", lengths=(2, 8), toys=("copied", "rough"))
def count_form(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator, batch_size: int | None = None
) -> float:
    """iid counts on 1..L, weight L/l (2505.19223v2, Eq. 14-15)."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    sums = masked_sums(model, prompt, answer, counted(counts, length, generator), batch_size)
    return float((length / counts * sums).mean())


@specimen("accepted", lengths=(8,), n=(1, 4), toys=("copied", "rough"))
def count_form_with_error(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator
) -> tuple[float, float | None]:
    """The same with its standard error, which one mask cannot give."""
    length = len(answer)
    counts = uniform_counts(n, length, generator)
    each = length / counts * masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float(each.mean()), float(each.std()) / n**0.5 if n > 1 else None


@specimen("accepted", lengths=(2, 8), toys=("copied", "rough"))
def counts_from_zero(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """iid counts on 0..L with the weight that belongs to them, (L + 1)/l; empty masks score nothing."""
    length = len(answer)
    counts = torch.randint(0, length + 1, (n,), generator=generator)
    sums = masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float(((length + 1) / counts.clamp_min(1) * sums).mean())


@specimen("accepted", lengths=(1, 5, 8), n=(3,))
def stratified_counts(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """One count from each of n equal strata of (0, L]."""
    length = len(answer)
    place = (torch.arange(n) + torch.rand(n, generator=generator, dtype=torch.float64)) / n
    counts = (place * length).floor().long() + 1
    sums = masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float((length / counts * sums).mean())


@specimen("accepted", lengths=(2, 8), n=(8,), toys=("copied", "rough"))
def complementary_pairs(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Masks and their complements, l on 1..L-1, plus everything masked at its weight 1/L; one mask is a plain draw."""
    length = len(answer)
    if n < 3 or length == 1:
        return count_form(model, prompt, answer, n, generator)
    counts = torch.randint(1, length, ((n - 1) // 2,), generator=generator)
    half = counted(counts, length, generator)
    pairs = masked_sums(model, prompt, answer, torch.cat([half, ~half]))
    weight = length / torch.cat([counts, length - counts])
    everything = masked_sums(model, prompt, answer, torch.ones(1, length, dtype=torch.bool))
    return float((1 - 1 / length) * (weight * pairs).mean() + everything[0] / length)


@specimen("accepted", lengths=(8,), n=(8,), toys=("rough",))
def redrawn_timesteps(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator
) -> tuple[float, float | None]:
    """Says "n/4 timesteps of 4 masks", but every repeat redraws its count: less variance than said, no bias.

    Its standard error, from the means of the groups of 4, is right for what it does; so nothing is there to be caught
    but the missing repeats.
    """
    groups = max(n // 4, 1)
    each = torch.tensor([count_form(model, prompt, answer, n // groups, generator) for _ in range(groups)])
    return float(each.mean()), float(each.std()) / groups**0.5 if groups > 1 else None


@specimen("accepted", "infinite-variance", lengths=(8,), n=(1,), toys=("rough",))
def time_form(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """t ~ U(0, 1], weight 1/t, no floor (Eq. 12-13): the mean is right, but the variance is infinite.

    Accepted up to values below the range: no finite number of calls bounds the mean of what lies there.
    """
    return floored_time_form(model, prompt, answer, n, generator, floor=0.0)


@specimen("accepted", "infinite-variance", lengths=(8,), n=(1,), toys=("rough",))
def floored_time_form(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator, floor: float = 1e-3
) -> float:
    """t ~ U[1e-3, 1], as in most training code: a bias far below any margin, and a variance of about log(1000)."""
    t = 1 - (1 - floor) * torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums / t).mean())
