"""The preference objective as a loss of torch, for a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from vrpo_theory import batching, preference
from vrpo_theory.batching import WeightedTerms
from vrpo_theory.models.base import trainable
from vrpo_theory.numerics import total
from vrpo_theory.schemes import VRPO, Scheme
from vrpo_theory.training.objective import PairObjective
from vrpo_theory.types import Predictor, PreferencePair, Trainable

Gradients = list[Tensor | None]


def dpo_loss(
    policy: Predictor,
    reference: Predictor,
    batch: Sequence[PreferencePair],
    scheme: Scheme = VRPO,
    *,
    beta: float = preference.BETA,
    seed: int = 0,
    step: int = 0,
    batch_tokens: int = batching.BATCH_TOKENS,
) -> Tensor:
    """The mean DPO loss of a batch of pairs, for a training loop of one's own.

    ``dpo_loss(policy, reference, batch, step=step).backward()`` adds its gradient to ``.grad``, in memory that does not
    grow with the number of masks. `loss` takes every option of `PairObjective`: other losses, other estimators, the
    supervised term.

    Parameters
    ----------
    policy, reference : Model
        As `vrpo_theory.load_model` gives them. Where an adapter is trained, the reference may be the same model with
        the adapter off, `vrpo_theory.checkpoints.lora.base_of`.
    batch : sequence of PreferencePair
        As `vrpo_theory.read_pairs` gives them.
    scheme : Scheme
        How scores are sampled: VRPO's choice, or ``plan(...).scheme``.
    seed, step : int
        Where the masks are drawn: each step has its own, policy and reference the same.

    Returns
    -------
    () float64 tensor
        In nats, on the policy's device.

    Raises
    ------
    FloatingPointError
        If a log-probability is not finite.

    Examples
    --------
    A policy that is its reference starts at log 2, since both see the same masks:

    >>> from vrpo_theory.models import llada
    >>> policy, reference = llada.tiny("policy"), llada.tiny("policy")
    >>> loss = dpo_loss(policy, reference, [llada.case(seed=0).pair])
    >>> loss.backward()
    >>> round(loss.item(), 4), policy.proxy_parameters()[0].grad.norm().item() > 0
    (0.6931, True)
    """
    objective = PairObjective(scheme=scheme, beta=beta, seed=seed, batch_tokens=batch_tokens)
    return loss(objective, policy, reference, batch, step)


def loss(
    objective: PairObjective, policy: Predictor, reference: Predictor, batch: Sequence[PreferencePair], step: int
) -> Tensor:
    """The mean loss of a batch under an objective; see `dpo_loss`. The supervised term is in the gradient alone."""
    model = trainable(policy)
    parameters = [p for p in model.parameters() if p.requires_grad]
    again = _arithmetic_of_now(model.device.type)
    scored = objective.score(policy, reference, [(step, pair) for pair in batch])

    def gradients() -> Gradients:
        parts = objective.batch_terms(scored).batches(objective.batch_tokens, model)
        return _sum_of_gradients((_value(part, model, again()) for part in parts), parameters)

    mean = total([one.loss for one in scored]) / len(scored)
    value: Tensor = _TwoPass.apply(mean, gradients, *parameters)  # type: ignore[no-untyped-call]
    return value


class _TwoPass(torch.autograd.Function):
    """A known value whose gradient is computed when it is asked for."""

    @staticmethod
    def forward(ctx: Any, value: float, gradients: Callable[[], Gradients], *parameters: Parameter) -> Tensor:
        ctx.gradients = gradients
        ctx.save_for_backward(*parameters)
        return torch.tensor(value, dtype=torch.float64, device=parameters[0].device if parameters else None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # raises where weights were changed since the loss was computed
        return None, None, *(None if g is None else g * outer.to(g) for g in ctx.gradients())


def _value(part: WeightedTerms, model: Trainable, arithmetic: AbstractContextManager[None]) -> Tensor:
    with arithmetic, torch.enable_grad():
        return part.value(model)


def _sum_of_gradients(values: Iterable[Tensor], parameters: Sequence[Parameter]) -> Gradients:
    """In every parameter; one graph exists at a time."""
    out: Gradients = [None] * len(parameters)
    for value in values:
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        out = [b if a is None else a if b is None else a.add_(b) for a, b in zip(out, found, strict=True)]
    return out


def _arithmetic_of_now(device: str) -> Callable[[], AbstractContextManager[None]]:
    """Contexts with the autocast that is in force now: the second pass must see the first one's function."""
    dtype, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
    return lambda: torch.autocast(device, dtype=dtype, enabled=enabled)
