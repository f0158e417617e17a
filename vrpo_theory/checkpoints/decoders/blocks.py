"""A masked decoder of block diffusion: many noisy blocks in one sequence with the clean text that lies before them."""

from __future__ import annotations

import torch
from torch import Tensor

from vrpo_theory.checkpoints.decoders.predictor import MaskedDecoder
from vrpo_theory.checkpoints.wrapped import scored
from vrpo_theory.types import Packed


class BlockDecoder(MaskedDecoder):
    """A `MaskedDecoder` whose tokens see their own block and what lies before it; a `vrpo_theory.types.Packs`."""

    block_length: int

    def log_prob_packed(self, packed: Packed) -> Tensor:
        """Log-probabilities (N,) at masked columns, 0 elsewhere, as if every block stood behind its text alone.

        With one clean copy and one noisy copy of every block this is the pass over [x_t, x_0] of block diffusion's
        training; further noisy copies share the clean one.

        Raises
        ------
        InputError
            As by `log_prob`.
        """
        self._check_tokens(packed.tokens)
        self._check_length(int(packed.position.max()) + 1)
        if self.shift and bool((packed.mask & (packed.before < 0)).any()):
            raise self.without_prompt
        shown = packed.tokens.masked_fill(packed.mask, self.mask_token_id)
        seen = packed.seen(self.block_length)
        hidden = self.module.hidden(shown[None], packed.position[None], seen[None, None])
        read = packed.before if self.shift else torch.arange(len(shown), device=shown.device)
        states = hidden[0, read[packed.mask].to(hidden.device)]
        mask, tokens = packed.mask[None], packed.tokens[None]
        return scored(self.head, states, mask, tokens, self.chunk)[0]
