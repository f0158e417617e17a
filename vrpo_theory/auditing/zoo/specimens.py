"""What a zoo member is, and the parts that members share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor

Estimator = Callable[..., Any]
E = TypeVar("E", bound=Estimator)


class Output(Protocol):
    """What a model returns; logits (B, T, V)."""

    logits: Tensor


class LogitModel(Protocol):
    """A masked predictor as transformers' users know it; ``config`` names the mask token and the padding."""

    @property
    def config(self) -> Any: ...

    def __call__(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Output: ...


@dataclass(frozen=True)
class Specimen:
    """An estimator with the verdict it must get.

    Parameters
    ----------
    estimator : callable
        As `vrpo_theory.audit` takes it.
    verdict : {"accepted", "rejected", "undecided"}
        On the default grid.
    mistake : str or None
        The first finding that must be named.
    lengths, n, toys : sequence
        A small grid on which the verdict and the name already show.
    """

    estimator: Estimator
    verdict: str
    mistake: str | None
    lengths: Sequence[int]
    n: Sequence[int]
    toys: Sequence[str]


ZOO: dict[str, Specimen] = {}


def specimen(
    verdict: str,
    mistake: str | None = None,
    *,
    lengths: Sequence[int] = (1, 2, 8),
    n: Sequence[int] = (4,),
    toys: Sequence[str] = ("copied", "rough", "long_tailed"),
) -> Callable[[E], E]:
    """Put an estimator into the zoo under its own name; it stays an ordinary function."""

    def enter(estimator: E) -> E:
        ZOO[estimator.__name__] = Specimen(estimator, verdict, mistake, lengths, n, toys)
        return estimator

    return enter


def counted(counts: Tensor, length: int, generator: Generator) -> Tensor:
    """Uniform masks (n, L) of exactly l tokens, l = counts (n,)."""
    order = torch.rand(len(counts), length, generator=generator).argsort(1)
    return order.argsort(1) < counts[:, None]


def uniform_counts(n: int, length: int, generator: Generator) -> Tensor:
    """n iid counts, uniform on 1..L."""
    return torch.randint(1, length + 1, (n,), generator=generator)


def timed(t: Tensor, length: int, generator: Generator) -> Tensor:
    """Masks (n, L) of tokens masked independently with probability t (n,)."""
    return torch.rand(len(t), length, generator=generator) < t[:, None]


def shown(model: LogitModel, prompt: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """Prompt and masked answer, (n, P + L)."""
    noisy = answer.expand(len(mask), -1).masked_fill(mask, model.config.mask_token_id)
    return torch.cat([prompt.expand(len(mask), -1), noisy], 1)


def token_terms(logits: Tensor, truth: Tensor) -> Tensor:
    """log p of the true tokens (T,) from logits (n, T, V), (n, T)."""
    return logits.float().log_softmax(-1).gather(-1, truth.expand(len(logits), -1)[..., None])[..., 0].double()


def masked_sums(
    model: LogitModel, prompt: Tensor, answer: Tensor, mask: Tensor, batch_size: int | None = None
) -> Tensor:
    """S of every mask, (n,): the summed log-probability of the masked tokens."""
    parts = []
    for rows in torch.split(mask, batch_size or len(mask)):
        logits = model(shown(model, prompt, answer, rows)).logits[:, len(prompt) :]
        parts.append((token_terms(logits, answer) * rows).sum(1))
    return torch.cat(parts)
