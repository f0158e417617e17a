"""What can stand where a model is asked for, by what it must offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types.responses import Response

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Request: TypeAlias = tuple[Response, NDArray[np.bool_]]
"""A response and the (n, L) masks to evaluate it under."""


@runtime_checkable
class Model(Protocol):
    """A masked diffusion language model seen through the log-probabilities of masked tokens.

    Plain attributes will do where properties stand here; an example is in `vrpo_theory.checkpoints.torch_model`.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype
        Floating type the model computes in.
    vocabulary : int
        Number of tokens a response may hold: ids 0..vocabulary - 1.
    fingerprint : str
        Hash of everything that fixes the numbers (weights, or name and parameters of a toy).
    """

    vocabulary: int

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def fingerprint(self) -> str: ...

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """Log-probabilities of the true tokens at masked positions.

        Parameters
        ----------
        tokens : (B, T) int64
            The unmasked truth; the model substitutes its own mask token. Values under the mask, in padding, never
            influence the result except as the targets.
        answer : (B, T) bool
            True at response positions; L = answer.sum(1). A response is contiguous.
        mask : (B, T) bool
            True where masked; inside ``answer``.
        attention : (B, T) bool
            True at real tokens, False at padding.

        Returns
        -------
        (B, T) floating
            Nats at masked positions, exactly 0 elsewhere; differentiable in the model's parameters.
        """
        ...


class GivesConditionals(Model, Protocol):
    """A model that gives the whole law of a masked token, which is what writing one needs."""

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """Log-probabilities of every token at the masked positions.

        Parameters
        ----------
        tokens, answer, mask, attention : (B, T)
            As of `Model.log_prob`; the tokens under the mask do not matter.

        Yields
        ------
        (n, vocabulary) floating
            In nats; a part of the positions, row by row, so that few logits exist at one time.
        """
        ...


def gives_conditionals(model: object) -> TypeGuard[GivesConditionals]:
    """Whether a model gives the laws of masked tokens; asked of its class, so that no property is computed."""
    return hasattr(type(model), "conditionals")


class Trainable(Model, Protocol):
    """A model whose log-probabilities can be differentiated in its parameters, as those of a `torch.nn.Module`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters, in a fixed order."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same with their names."""
        ...


@runtime_checkable
class LookUp(Protocol):
    """Anything that already holds the answers (an enumerated table, a store) and stands in a model's place."""

    def look_up(self, response: Response, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Log-probabilities (n, L) in nats, 0 at visible tokens."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """A model that remembers: what it recalls is not evaluated, and what is evaluated it keeps, batch by batch."""

    def recall(self, response: Response, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Log-probabilities (n, L) in nats, and whether each row is known (n,); a mask of no tokens always is."""
        ...

    def evaluator(self, missing: int) -> Model:
        """The model that evaluates the missing masks; an error if there is none."""
        ...

    def record(self, batch: Sequence[Request], values: Sequence[NDArray[np.float64]]) -> None:
        """Keep a batch, whole or not at all."""
        ...


Predictor: TypeAlias = Model | LookUp | Recorder
"""A model, or what answers in its place."""


def block_length(model: Predictor) -> int | None:
    """Tokens of a block, for models of block diffusion: they have it as an attribute ``block_length``. Else None."""
    length: int | None = getattr(model, "block_length", None)
    return length
