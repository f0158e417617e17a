"""What the predictors around modules of transformers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from vrpo_theory.checkpoints.identity import arithmetic, digest, moving, signature
from vrpo_theory.checkpoints.torch_model import TorchModel
from vrpo_theory.errors import InputError

Head = Callable[[Tensor], Tensor]

LOGITS = 2**25
"""Logits that exist at one time: 134 MB in float32, 265 masked positions of LLaDA's vocabulary."""


class Wrapped(TorchModel):
    """A module of transformers with the attributes of a `vrpo_theory.models.base.Model`.

    Parameters
    ----------
    module : PreTrainedModel
        Shared, not copied; its weights, device and dtype are the predictor's. A subclass gives
        `states` and `head`; one that calls methods of its own kind of module names it: ``module: LLaDAModelLM``.
    vocabulary : int
        Ids a response may hold.
    mask_token_id : int
    max_length : int
        Most tokens of a prompt and its response together.
    """

    limit = "max_length"
    """Name of the longest length in messages."""

    def __init__(self, module: PreTrainedModel, vocabulary: int, mask_token_id: int, max_length: int) -> None:
        super().__init__()
        self.module = module
        self.vocabulary, self.mask_token_id, self.max_length = vocabulary, mask_token_id, max_length
        self.turn: Callable[[], None] | None = None  # called before a batch, where models share a device in turns
        self._checkpointed = False
        self._hashed: tuple[object, str] | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of all that a forward pass depends on as it is now; computed again only after something changed.

        Covered: configuration, mask token, weights and buffers with their types, every part's class and attributes (an
        adapter's scaling and whether it is on), attention implementation, matrix precision. Not covered: the device,
        which moves numbers by rounding alone, and the versions of libraries; records store both in addition.
        """
        options = self._identity()
        state = options, signature(self.module)
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = state, digest(self.module, options)
        return self._hashed[1]

    @property
    def outline(self) -> str:
        """As `fingerprint`, from a sample of each tensor's values: quick, but models that differ elsewhere share it."""
        return digest(self.module, self._identity(), sampled=True)

    def accept_fingerprint(self, known: str) -> None:
        """Take a fingerprint that was computed of the same weights; it holds until something changes."""
        self._hashed = (self._identity(), signature(self.module)), known

    def _identity(self) -> dict[str, Any]:
        """All but weights and structure that a forward pass depends on."""
        return self._options() | {
            "mask_token_id": self.mask_token_id,
            "attention": self.module.config._attn_implementation,
            "arithmetic": arithmetic(self.device),
        }

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`; float32, or float64 for a float64 model.

        Positions, and blocks, count the real tokens of a row from its start, so that padding on either side changes
        nothing. A block sees earlier ones as they are shown, mask tokens included.

        Raises
        ------
        InputError
            If a token is outside the vocabulary, a row is longer than ``max_length``, or the model predicts a token
            from the column before it and the response has none.
        """
        return scored(self.head, self.states(tokens, answer, mask, attention), mask, tokens, self.chunk)

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`; errors as of `log_prob`."""
        for part in self.states(tokens, answer, mask, attention).split(self.chunk):
            yield _log_softmax(self.head(part))[:, : self.vocabulary]

    def states(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """States (N, D) that the masked positions are predicted from, row by row; parameters as of `log_prob`."""
        raise NotImplementedError

    def head(self, states: Tensor) -> Tensor:
        """Logits (N, V) of states (N, D); V may exceed the vocabulary."""
        raise NotImplementedError

    @property
    def chunk(self) -> int:
        """Positions whose logits exist at one time."""
        return max(1, LOGITS // self.vocabulary)

    def forward(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """``log_prob``, for what is wrapped around a module's forward pass: autocast, DDP."""
        return self.log_prob(tokens, answer, mask, attention)

    def require_sound(self) -> None:
        """InputError if a trial shows that the loaded model scores wrongly; subclasses that need one override this."""

    def checkpoint_gradients(self) -> None:
        """Recompute the activations of a block in the backward pass instead of keeping them: the same numbers."""
        self.module.activation_checkpointing_enable()
        self._checkpointed = True
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or eval mode; blocks whose activations are recomputed stay in training mode themselves.

        transformers recomputes in no other mode. The layers inside such a block follow ``mode`` as all others do.
        """
        super().train(mode)
        for block in self.modules():
            if isinstance(block, GradientCheckpointingLayer):
                block.training = mode or self._checkpointed
        return self

    @contextmanager
    def widened(self) -> Iterator[Self]:
        """Hold half-precision weights as float32 for a while: the same values, so that only the arithmetic changes."""
        if self.turn is not None:
            self.turn()  # its turn may not begin while the weights are others
        narrow = [p for p in self.module.parameters() if p.dtype in (torch.bfloat16, torch.float16)]
        kept = [p.data for p in narrow]
        try:
            for parameter in narrow:
                parameter.data = parameter.data.float()
            yield self
        finally:
            for parameter, data in zip(narrow, kept, strict=True):
                parameter.data = data

    def _options(self) -> dict[str, Any]:
        """The part of the configuration that moves a logit."""
        return moving(self.module.config.to_dict())

    def _check(self, tokens: Tensor, attention: Tensor) -> None:
        self._check_tokens(tokens[attention])
        self._check_length(int(attention.sum(1).max()))

    def _check_tokens(self, tokens: Tensor) -> None:
        alien = (tokens < 0) | (tokens >= self.vocabulary)
        if alien.any():
            raise InputError(
                f"token id {int(tokens[alien][0])} is outside the vocabulary of {self.vocabulary}: "
                "tokenize with this model's tokenizer"
            )

    def _check_length(self, longest: int) -> None:
        if longest > self.max_length:
            raise InputError(f"a sequence of {longest} tokens exceeds {self.limit}={self.max_length}: shorten it")


def scored(head: Head, hidden: Tensor, mask: Tensor, tokens: Tensor, chunk: int) -> Tensor:
    """Log-probabilities of the masked tokens, (B, T), 0 elsewhere; float32, or float64 for a float64 model.

    Parameters
    ----------
    head : callable
        Hidden states (N, D) to logits (N, V).
    hidden : (N, D)
        States at the masked positions, row by row.
    mask, tokens : (B, T)
        N masked positions, and the true tokens.
    chunk : int
        Positions whose logits exist at one time; they are recomputed in the backward pass, never kept.
    """
    value = torch.cat(list(_chunks(head, hidden, tokens[mask], chunk))).to(mask.device)
    return value.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), value)


def _chunks(head: Head, hidden: Tensor, target: Tensor, chunk: int) -> Iterator[Tensor]:
    for states, ids in zip(hidden.split(chunk), target.split(chunk), strict=True):
        if torch.is_grad_enabled():
            yield checkpoint(_score, head, states, ids, use_reentrant=False, preserve_rng_state=False)
        else:
            yield _score(head, states, ids)


def _score(head: Head, hidden: Tensor, target: Tensor) -> Tensor:
    every = _log_softmax(head(hidden))
    return every.gather(1, target[:, None].to(every.device)).squeeze(1)


def _log_softmax(logits: Tensor) -> Tensor:
    """In float32 at least."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)


def positions(attention: Tensor) -> Tensor:
    """Place of every real token among the real ones, (B, T); (1, T) where all rows agree, to rotate with one row."""
    column = torch.arange(attention.shape[1], device=attention.device)
    position = torch.where(attention, attention.cumsum(1) - 1, column)
    return column[None] if bool((position == column).all()) else position
