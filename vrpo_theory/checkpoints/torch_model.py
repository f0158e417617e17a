"""What models of torch have in common."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class TorchModel(nn.Module):
    """A `Model` whose device and dtype are those of its parameters.

    A subclass gives ``vocabulary``, `fingerprint` and `log_prob`. A model of the bare frequencies of tokens:

    >>> from vrpo_theory.models.base import fingerprint
    >>> class Unigram(TorchModel):
    ...     def __init__(self, logits):
    ...         super().__init__()
    ...         self.logits, self.vocabulary = nn.Parameter(torch.tensor(logits)), len(logits)
    ...
    ...     @property
    ...     def fingerprint(self):
    ...         return fingerprint(self.parameters())
    ...
    ...     def log_prob(self, tokens, answer, mask, attention):
    ...         return self.logits.log_softmax(-1)[tokens].masked_fill(~mask, 0.0)
    >>> import numpy as np
    >>> from vrpo_theory import elbo
    >>> from vrpo_theory.types import Model, Response
    >>> model = Unigram([0.0, 0.0])
    >>> isinstance(model, Model)
    True
    >>> elbo.terms([(Response((), (0, 1)), np.array([[True, False]]))], model)[0].round(4)
    array([[-0.6931,  0.    ]])
    """

    vocabulary: int

    @property
    def fingerprint(self) -> str:
        """Hash of everything that fixes the numbers."""
        raise NotImplementedError

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the first parameter is."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the first parameter with a fraction."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())


class ConditionalModel(TorchModel):
    """A `TorchModel` that gives the law of every masked token, `conditionals`; its log-probabilities follow."""

    def conditionals(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Iterator[Tensor]:
        """See `vrpo_theory.types.GivesConditionals.conditionals`."""
        raise NotImplementedError

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        """See `vrpo_theory.models.base.Model.log_prob`."""
        every = torch.cat(list(self.conditionals(tokens, answer, mask, attention)))
        value = every.gather(1, tokens[mask][:, None]).squeeze(1)
        return value.new_zeros(mask.shape).index_put(mask.nonzero(as_tuple=True), value)
