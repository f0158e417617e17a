"""Training losses as estimators: is the expectation of a loss a multiple of -ELBO/L, and which?

A loss is called as ``loss(model, input_ids, labels)``, or has a method ``compute_loss(model, inputs)``, as trainers do:
``input_ids`` (n, P + L) holds n copies of prompt and answer, ``labels`` the same with -100 at the prompt. It draws its
masks from the global generators, which are seeded for every call and left as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from vrpo_theory.auditing.generators import seed_global, states_kept
from vrpo_theory.auditing.toys import toy
from vrpo_theory.errors import InputError
from vrpo_theory.numerics import mean_estimate

IGNORED = -100
"""Label of a token that is not scored, as torch's cross-entropy has it."""
PILOT, CALLS, ROWS = (2, 8), 100, 4
NEAR = 0.3
"""Distance of logarithms from a multiple beyond which a loss is none of it; what is nearer, the audit judges."""


@dataclass(frozen=True)
class Multiple:
    """What the expectation of a loss may be.

    Parameters
    ----------
    says : str
    factor : callable
        (L, P, n) to the loss over -ELBO/L.
    """

    says: str
    factor: Callable[[int, int, int], float]


MULTIPLES = (
    Multiple("-ELBO/L, per token", lambda length, prompt, n: 1.0),
    Multiple("-ELBO, summed over the tokens", lambda length, prompt, n: length),
    Multiple("-ELBO/(P + L), per token of the whole sequence", lambda length, prompt, n: length / (prompt + length)),
    Multiple("-n ELBO/L, summed over the rows", lambda length, prompt, n: n),
    Multiple("-n ELBO, summed over tokens and rows", lambda length, prompt, n: n * length),
)


class LossEstimator:
    """The ELBO that a loss stands for, as `vrpo_theory.audit` calls an estimator.

    Parameters
    ----------
    loss : callable or object with ``compute_loss``
    multiple : Multiple

    Raises
    ------
    InputError
        If it can be called in neither way.
    """

    def __init__(self, loss: Any, multiple: Multiple) -> None:
        self.multiple, self._loss = multiple, _callable(loss)
        self.__name__ = str(getattr(loss, "__name__", type(loss).__name__))

    def __call__(self, model: Any, prompt: Tensor, answer: Tensor, n: int, generator: Generator) -> float:
        """-loss L over the multiple's factor, in nats."""
        found = loss_of(self._loss, model, prompt, answer, n, generator)
        length = len(answer)
        return -found * length / self.multiple.factor(length, len(prompt), n)


def loss_of(
    loss: Callable[..., Any], model: Any, prompt: Tensor, answer: Tensor, n: int, generator: Generator
) -> float:
    """The loss of n rows, with the global generators seeded from the one given."""
    ids = torch.cat([prompt, answer]).repeat(n, 1)
    labels = ids.clone()
    labels[:, : len(prompt)] = IGNORED
    with states_kept():
        seed_global(int(torch.randint(2**62, (), generator=generator)))
        return float(loss(model, ids, labels))


def recognised(loss: Any) -> Multiple:
    """The multiple nearest to what some calls give at two lengths.

    Raises
    ------
    InputError
        If none is near.
    """
    call, seen = _callable(loss), {}
    for length in PILOT:
        subject, generator = toy("rough", length), Generator().manual_seed(length)
        prompt, answer = torch.tensor(subject.prompt), torch.tensor(subject.answer)
        values = [loss_of(call, subject.predictor, prompt, answer, ROWS, generator) for _ in range(CALLS)]
        seen[length] = mean_estimate(values).value / (-subject.elbo / length)
    prompt_length = len(toy("rough", 2).prompt)

    def distance(multiple: Multiple) -> float:
        return max(abs(math.log(abs(x) / multiple.factor(at, prompt_length, ROWS))) for at, x in seen.items() if x)

    best = min(MULTIPLES, key=distance)
    if min(seen.values()) <= 0 or distance(best) > NEAR:
        ratios = ", ".join(f"{x:.3g} at L = {length}" for length, x in seen.items())
        raise InputError(f"the loss is no known multiple of -ELBO/L: its mean is {ratios} times that")
    return best


def _callable(loss: Any) -> Callable[..., Any]:
    compute = getattr(loss, "compute_loss", None)
    if compute is not None:
        return lambda model, ids, labels: compute(
            model, {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}
        )
    if not callable(loss):
        raise InputError(f"a loss is a function or has compute_loss, got {type(loss).__name__}")
    return loss  # type: ignore[no-any-return]
