"""Mistakes in S: other tokens are scored than the masked ones, or other logits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vrpo_theory.auditing.mistakes.base import Mistake, mistake, right, uniform
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.numerics import total


def members() -> Iterator[Mistake]:
    """Every mistake of this kind."""
    for name, says, scored in (
        ("visible-scored", "S sums the visible answer tokens too", "visible"),
        ("prompt-scored", "S sums the prompt too", "prompt"),
        ("eos-dropped", "S leaves out the last token, the end of sequence, though it is masked", "without the last"),
        ("bfloat16", "S sums log-probabilities from a log-softmax in bfloat16", "bfloat16"),
    ):
        yield mistake(name, says, right, scored=scored)
    yield Mistake(
        "eos-as-context", "the last token, the end of sequence, is never masked nor scored: it is context",
        _eos_visible, lambda length, n, batch: uniform(length, 1, length - 1),
    )  # fmt: skip


def _eos_visible(toy: Toy, n: int, batch: int) -> float:
    """The ELBO of the first L - 1 tokens, with the last one visible."""
    return total(toy.mean_sums("last visible")[1:-1] / np.arange(1, toy.length))
