"""LLaDA as a `vrpo_theory.models.base.Model`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vrpo_theory.errors import InputError
from vrpo_theory.models.llada.modeling import LLaDAModelLM, widened

LOGITS = 2**25
"""Logits that exist at one time: 134 MB in float32, 265 masked positions of the 8B vocabulary."""


class LLaDA(nn.Module):
    """A masked predictor around a `LLaDAModelLM`.

    Parameters
    ----------
    module : LLaDAModelLM
        Shared, not copied; its weights, device and dtype are the predictor's.

    Attributes
    ----------
    mask_token_id : int
    max_length : int
        Most tokens of a prompt and its response together.
    vocabulary : int
        Ids a response may hold. The softmax also covers the embedding's surplus rows, as in the official code.
    """

    def __init__(self, module: LLaDAModelLM) -> None:
        super().__init__()
        self.module = module
        self.mask_token_id: int = module.config.mask_token_id
        self.vocabulary: int = module.config.vocab_size
        self.max_length: int = module.config.max_sequence_length
        self._hashed: tuple[tuple[object, ...], str] | None = None

    @property
    def device(self) -> torch.device:
        return self.module.device

    @property
    def dtype(self) -> torch.dtype:
        return self.module.dtype

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration and the weights as they are now; computed again only after they changed."""
        state = tuple((p.data_ptr(), p.dtype, p._version) for p in self.parameters())
        if self._hashed is None or self._hashed[0] != state:
            self._hashed = state, _hash(self.module)
        return self._hashed[1]

    def proxy_parameters(self) -> list[nn.Parameter]:
        """The up-projection of the first block: the paper's proxy for the full gradient (2505.19223v2, D.5)."""
        return list(self.module.model.transformer["blocks"][0].up_proj.parameters())

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`; float32, or float64 for a float64 model.

        Positions count the real tokens, so that padding on either side changes nothing.

        Raises
        ------
        InputError
            If a token is outside the vocabulary, or a row longer than ``max_sequence_length``.
        """
        self._check(tokens, attention)
        visible = tokens.masked_fill(mask | ~attention, self.mask_token_id)
        hidden = self.module.model(visible, attention, _positions(attention))[mask]
        value = torch.cat(list(self._scored(hidden, tokens[mask])))
        return value.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), value)

    def _scored(self, hidden: Tensor, target: Tensor) -> Iterator[Tensor]:
        """Log-probabilities of targets, chunk by chunk; logits are recomputed in the backward pass, never kept."""
        chunk = max(1, LOGITS // self.module.config.rows)
        for states, ids in zip(hidden.split(chunk), target.split(chunk), strict=True):
            yield checkpoint(self._score, states, ids, use_reentrant=False, preserve_rng_state=False)

    def _score(self, hidden: Tensor, target: Tensor) -> Tensor:
        return widened(self.module.head(hidden)).log_softmax(-1).gather(1, target[:, None]).squeeze(1)

    def _check(self, tokens: Tensor, attention: Tensor) -> None:
        alien = attention & ((tokens < 0) | (tokens >= self.vocabulary))
        if alien.any():
            raise InputError(
                f"token id {int(tokens[alien][0])} is outside the vocabulary of {self.vocabulary}: "
                "tokenize with this model's tokenizer"
            )
        longest = int(attention.sum(1).max())
        if longest > self.max_length:
            raise InputError(
                f"a sequence of {longest} tokens exceeds max_sequence_length={self.max_length}: shorten it"
            )


def _positions(attention: Tensor) -> Tensor:
    """Place of every real token among the real ones, (B, T); (1, T) where all rows agree, to rotate with one row."""
    column = torch.arange(attention.shape[1], device=attention.device)
    position = torch.where(attention, attention.cumsum(1) - 1, column)
    return column[None] if bool((position == column).all()) else position


def _hash(module: LLaDAModelLM) -> str:
    digest = hashlib.sha256(json.dumps(module.config.official(), sort_keys=True).encode())
    for name, parameter in module.named_parameters():
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
