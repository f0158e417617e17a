"""The contract of a masked predictor, and which of its parameters are differentiated."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast

from vrpo_theory.errors import InputError
from vrpo_theory.types import Model, Predictor, Trainable

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Model", "differentiating", "fingerprint", "select_parameters", "trainable"]


def fingerprint(parameters: Iterable[Tensor]) -> str:
    """Hash of a model's parameters, their types and shapes included."""
    digest = hashlib.sha256()
    for tensor in parameters:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class HasProxy(Protocol):
    """A model that knows the paper's proxy for the full gradient (2505.19223v2, D.5)."""

    def proxy_parameters(self) -> list[nn.Parameter]:
        """The up-projection of the first block."""
        ...


def trainable(model: Predictor) -> Trainable:
    """The model itself, whose parameters can be differentiated in.

    Raises
    ------
    InputError
        If a table or a store without its model stands in the model's place.
    """
    if not hasattr(model, "parameters"):
        raise InputError("gradients need the model itself, a sample store holds none: give --policy DIR")
    return cast(Trainable, model)


def select_parameters(model: Predictor, parameters: str) -> list[nn.Parameter]:
    """The parameters whose gradient is studied.

    Parameters
    ----------
    parameters : {"full", "up-proj"}
        All parameters of the model, or the up-projection of its first block (the paper's proxy, 2505.19223v2, D.5).

    Raises
    ------
    InputError
        If the model has no such parameters, or stands for a store that holds none.
    """
    full = trainable(model).parameters()
    if parameters == "full":
        return list(full)
    if parameters == "up-proj" and hasattr(model, "proxy_parameters"):
        return list(cast(HasProxy, model).proxy_parameters())
    raise InputError(
        f"no gradient {parameters!r} for {type(model).__name__}: use 'full', or 'up-proj' with a transformer"
    )


@contextmanager
def differentiating(model: Trainable, chosen: Sequence[nn.Parameter]) -> Iterator[None]:
    """Differentiate in the chosen parameters alone, and leave the model's flags and gradients as they were."""
    before = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    keep = {id(p) for p in chosen}
    try:
        for p, _, _ in before:
            p.requires_grad_(id(p) in keep)
            p.grad = None
        yield
    finally:
        for p, flag, grad in before:
            p.requires_grad_(flag)
            p.grad = grad
