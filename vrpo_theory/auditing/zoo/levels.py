"""Mistakes in how many tokens are masked, and in the weight that belongs to it; most were found in public code.

One of them is right in a special case, which stands beside it.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from vrpo_theory.auditing.zoo.right import count_form
from vrpo_theory.auditing.zoo.specimens import LogitModel, counted, masked_sums, specimen, timed, uniform_counts
from vrpo_theory.numerics import gauss_legendre

FLOOR, COARSE = 0.2, 0.4
"""Large enough that a bias of their order shows beside the margin; a floor of 1e-3 would be harmless, and accepted."""


@specimen("rejected", "rounded-counts", lengths=(8,), n=(16,), toys=("copied", "rough"))
def rounded_counts(
    model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator, batch_size: int = 16
) -> float:
    """Counts of a batch spread from one shared k and rounded half to even, in the manner of the public code."""
    length, found = len(answer), []
    for start in range(0, n, batch_size):
        rows = min(batch_size, n - start)
        k = float(torch.randint(1, length + 1, (1,), generator=generator))
        spread = torch.linspace(k, k + (rows - 1) * (length / rows), rows).round().long()
        counts = (spread - 1) % length + 1
        sums = masked_sums(model, prompt, answer, counted(counts, length, generator))
        found.append((length / counts * sums).mean())
    return float(torch.stack(found).mean())


@specimen("accepted", lengths=(8,), n=(16,), toys=("rough",))
def public_form_one_by_one(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The form of the authors' public likelihood code at batch size 1, where its counts are uniform."""
    return rounded_counts(model, prompt, answer, n, generator, batch_size=1)


@specimen("rejected", "count-plus-one-weight")
def count_plus_one_weight(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The weight (L + 1)/l of l = 0..L, over l = 1..L."""
    return (len(answer) + 1) / len(answer) * count_form(model, prompt, answer, n, generator)


@specimen("rejected", "count-from-zero", n=(8,))
def count_from_zero(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """An off-by-one: counts on 0..L-1, weight L/l."""
    length = len(answer)
    counts = torch.randint(0, length, (n,), generator=generator)
    sums = masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float((length / counts.clamp_min(1) * sums).mean())


@specimen("rejected", "at-least-one-mask", n=(8,))
def at_least_one_mask(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Tokens masked with probability t; an empty mask gets one token; weight L/l."""
    length = len(answer)
    mask = timed(torch.rand(n, generator=generator), length, generator)
    single = counted(torch.ones(n, dtype=torch.long), length, generator)
    mask = torch.where(mask.any(1, keepdim=True), mask, single)
    return float((length / mask.sum(1) * masked_sums(model, prompt, answer, mask)).mean())


@specimen("rejected", "all-masked")
def all_masked(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """One forward pass with everything masked."""
    return float(masked_sums(model, prompt, answer, torch.ones(1, len(answer), dtype=torch.bool))[0])


@specimen("rejected", "floor-quadrature")
def floor_quadrature(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Times at the midpoints of n equal intervals, floor(t L) tokens masked, weight 1/t."""
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    mask = counted((t * len(answer)).floor().long(), len(answer), generator)
    return float((masked_sums(model, prompt, answer, mask) / t).mean())


@specimen("rejected", "no-weight")
def no_weight(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The masked sum itself."""
    counts = uniform_counts(n, len(answer), generator)
    return float(masked_sums(model, prompt, answer, counted(counts, len(answer), generator)).mean())


@specimen("rejected", "clamped-weight", lengths=(2, 8), n=(16,), toys=("copied", "rough"))
def clamped_weight(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Masks drawn with t, weight 1/max(t, floor): too high for every model."""
    t = torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums / t.clamp_min(FLOOR)).mean())


@specimen("rejected", "raw-time-weight", lengths=(1, 8), n=(1,), toys=("copied", "rough"))
def raw_time_weight(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Masks drawn with max(t, floor), weight 1/t: the mean is infinite."""
    t = 1 - torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t.clamp_min(FLOOR), len(answer), generator))
    return float((sums / t).mean())


@specimen("rejected", "floored-time", lengths=(2, 5, 8), n=(16,))
def floored_time(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """t ~ U[floor, 1] in mask and weight: unbiased only if tokens do not depend on each other."""
    t = FLOOR + (1 - FLOOR) * torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums / t).mean())


@specimen("rejected", "clamped-time", lengths=(5, 8), n=(16,))
def clamped_time(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """max(t, floor) in mask and weight: the same, with an atom at the floor."""
    t = torch.rand(n, generator=generator, dtype=torch.float64).clamp_min(COARSE)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums / t).mean())


@specimen("rejected", "clipped-time", lengths=(2, 8), n=(16,))
def clipped_time(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """t ~ U[0.3, 0.8] in mask and weight, as where training clips its noise: much masked never occurs."""
    t = 0.3 + 0.5 * torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums / t).mean())


@specimen("rejected", "wrong-time-weight")
def linear_time_weight(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """The weight 1 - t, which some trainers offer beside 1/t."""
    t = torch.rand(n, generator=generator, dtype=torch.float64)
    sums = masked_sums(model, prompt, answer, timed(t, len(answer), generator))
    return float((sums * (1 - t)).mean())


@specimen("rejected", "redrawn-empty-mask", lengths=(5, 8), n=(1, 16), toys=("copied", "rough"))
def redrawn_empty_mask(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """A row without a mask is drawn again, time and all: (L + 1)/L too large."""
    length = len(answer)
    t, mask = torch.zeros(n, dtype=torch.float64), torch.zeros(n, length, dtype=torch.bool)
    while (empty := ~mask.any(1)).any():
        t[empty] = torch.rand(int(empty.sum()), generator=generator, dtype=torch.float64)
        mask[empty] = timed(t[empty], length, generator)
    return float((masked_sums(model, prompt, answer, mask) / t).mean())


@specimen("rejected", "rounded-ends", n=(8,))
def rounded_ends(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Counts round(u L): the smallest and the largest are half as likely, and the smallest is 0."""
    length = len(answer)
    counts = (torch.rand(n, generator=generator, dtype=torch.float64) * length).round().long()
    sums = masked_sums(model, prompt, answer, counted(counts, length, generator))
    return float((length / counts.clamp_min(1) * sums).mean())


@specimen("rejected", "floor-quadrature", n=(4, 8))
def gauss_quadrature(model: LogitModel, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
    """Gauss-Legendre nodes t with floor(t L) masked tokens, weight 1/t."""
    share, t = (torch.from_numpy(x) for x in gauss_legendre(0.0, 1.0, n))
    mask = counted((t * len(answer)).floor().long(), len(answer), generator)
    return float((share * masked_sums(model, prompt, answer, mask) / t).sum())
