"""What the LLaDA benchmark runs on: sizes, models of random weights, random pairs, and the naive way to score."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vrpo_theory import DESIGNS, Budget, Case, PreferencePair, Response, Scheme
from vrpo_theory.checkpoints.placement import DTYPES
from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM
from vrpo_theory.types import Request


@dataclass(frozen=True)
class Size:
    """A configuration, and the sequences that it is measured on."""

    config: LLaDAConfig
    prompt: int
    answer: int
    batch: int
    checkpointed: bool = False
    """Whether the gradient recomputes the blocks' activations."""

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return self.prompt + self.answer

    @property
    def batch_tokens(self) -> int:
        """Tokens of one batch."""
        return self.batch * self.length


def _small(d: int, layers: int, heads: int, mlp: int, vocabulary: int) -> LLaDAConfig:
    options: dict[str, Any] = {"mask_token_id": vocabulary - 1, "eos_token_id": None, "pad_token_id": None}
    return LLaDAConfig(d_model=d, n_layers=layers, n_heads=heads, mlp_hidden_size=mlp, vocab_size=vocabulary, **options)


SIZES = {
    "smoke": Size(_small(16, 2, 2, 32, 64), prompt=4, answer=12, batch=4),
    "tiny": Size(_small(256, 4, 4, 1024, 8192), prompt=64, answer=128, batch=16),
    "8b": Size(LLaDAConfig(), prompt=341, answer=683, batch=4, checkpointed=True),
}


@dataclass(frozen=True)
class Setting:
    """What is measured, in words that pass through JSON.

    Parameters
    ----------
    name : {"smoke", "tiny", "8b"}
    length, layers : int or None
        In place of the size's own; a third of the length is prompt.
    """

    name: str
    device: str = "cpu"
    dtype: str = "float32"
    length: int | None = None
    layers: int | None = None

    @property
    def size(self) -> Size:
        """Configuration and sequences."""
        size = SIZES[self.name]
        if self.layers is not None:
            size = replace(size, config=LLaDAConfig(**{**size.config.official(), "n_layers": self.layers}))
        prompt = (self.length or 0) // 3
        return size if self.length is None else replace(size, prompt=prompt, answer=self.length - prompt)

    @property
    def label(self) -> str:
        """Name of the file of results."""
        kind = self.name if self.name != "8b" else f"8b-{self.device.replace(':', '')}"
        layers = "" if self.layers is None else f"-{self.layers}-layers"
        return f"llada-{kind}{layers}"

    def random_model(self, seed: int) -> LLaDA:
        """A model of random weights in its place and type."""
        return random_model(self.size.config, self.device, DTYPES[self.dtype], seed)

    def models(self) -> tuple[LLaDA, LLaDA]:
        """Policy and reference; one and the same where the device has no room for two and a gradient."""
        policy = self.random_model(0)
        if self.size.checkpointed:
            policy.checkpoint_gradients()
        weights = sum(p.numel() * p.element_size() for p in policy.parameters())
        reference = self.random_model(1) if _free(self.device) > 2.2 * weights else policy
        return policy, reference

    def cases(self, number: int) -> list[Case]:
        """Random pairs under the two models."""
        return pairs(self.size, number, *self.models())


def random_model(config: LLaDAConfig, device: str, dtype: torch.dtype, seed: int) -> LLaDA:
    """Weights N(0, init_std^2), norms 1, drawn where they stay: no copy in another place or type."""
    with torch.device("meta"):
        module = LLaDAModelLM(config)
    module = module.to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, config.init_std, generator=generator)
            else:
                parameter.fill_(1)
    return LLaDA(module).eval()


def _free(device: str) -> float:
    """Bytes that are free on the device."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def pairs(size: Size, number: int, policy: LLaDA, reference: LLaDA) -> list[Case]:
    """Pairs of uniform tokens, all of the same length."""
    rng = np.random.default_rng(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(size.config.mask_token_id, size=count).tolist())

    found = []
    for k in range(number):
        prompt = ids(size.prompt)
        pair = PreferencePair(Response(prompt, ids(size.answer)), Response(prompt, ids(size.answer)), f"random-{k}")
        found.append(Case(policy, reference, pair))
    return found


def requests(case: Case, masks: int) -> list[Request]:
    """One batch: the chosen response under masks of evenly spread counts, half of its tokens on average."""
    draw = Scheme(DESIGNS["midpoints"](), budget=Budget(masks, 1)).draw(case.pair, seed=0)[0]
    return [(draw.response, draw.masks.mask)]


class AllLogits(LLaDA):
    """The naive way: logits of every position, and a float32 log-softmax of all of them."""

    def log_prob(self, tokens: Tensor, answer: Tensor, mask: Tensor, attention: Tensor) -> Tensor:
        self._check(tokens, attention)
        logits = self.module(tokens.masked_fill(mask | ~attention, self.mask_token_id), attention).logits
        return logits.float().log_softmax(-1).gather(2, tokens[..., None])[..., 0].masked_fill(~mask, 0)
