"""Exact scores under block diffusion: all masks packed behind one clean copy, against 15 passes of two copies.

    python benchmarks/blocks.py [--quick]

writes ``benchmarks/results/blocks.json``: a response of 128 tokens in blocks of 4, on a model of SDAR's kind with
random weights; tokens that pass through the model, and seconds, of every mask of every block evaluated

- packed: one clean copy of the text and one copy of a block for each mask, in sequences of a token budget;
- by two copies: as in training code, the noisy text and the clean one in one sequence, one mask of every block at a
  time, 15 times;
- block by block: each mask in a sequence of its own with the text before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from measuring import Row, interleaved, ratio, run

from vrpo_theory import batching, packing
from vrpo_theory.checkpoints.decoders.blocks import BlockDecoder
from vrpo_theory.checkpoints.decoders.modeling import built
from vrpo_theory.checkpoints.decoders.toy import OPTIONS
from vrpo_theory.checkpoints.family import BLOCK_KEY
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.models.sdar import FAMILY
from vrpo_theory.types import Packed, Request, Response

BLOCK, PROMPT = 4, 8
BUDGET = 1024
"""Tokens of a packed sequence: attention within it costs their square."""


def model(width: int, layers: int) -> BlockDecoder:
    """SDAR with random weights, float32."""
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": layers, "head_dim": 64}
    heads = {"num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 128)}
    kind = built(FAMILY)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = kind.config_class(**OPTIONS | sizes | heads | {"max_position_embeddings": 4096, BLOCK_KEY: BLOCK})
        return BlockDecoder(kind(config)).eval()


def requests(length: int) -> list[Request]:
    """Every mask of every block of a uniform response."""
    ids = np.random.default_rng(0).integers(OPTIONS["mask_token_id"], size=PROMPT + length).tolist()
    return [(b, all_masks(b.length)[1:]) for b in Response(ids[:PROMPT], ids[PROMPT:]).blocks(BLOCK)]


class Counted:
    """A model that counts the tokens that pass through it."""

    def __init__(self, of: BlockDecoder) -> None:
        self.of, self.tokens = of, 0
        self.block_length, self.device = of.block_length, of.device

    def log_prob_packed(self, packed: Packed) -> torch.Tensor:
        self.tokens += len(packed.tokens)
        return self.of.log_prob_packed(packed)

    def log_prob(self, *batch: torch.Tensor) -> torch.Tensor:
        self.tokens += batch[0].numel()
        return self.of.log_prob(*batch)


def ways(asked: Sequence[Request], counted: Counted) -> dict[str, Callable[[], object]]:
    """The same answers in three ways."""

    def packed() -> None:
        for pieces in packing.packs(asked, BUDGET, BLOCK):
            packing.log_prob(batching.select(asked, pieces), counted)

    def two_copies() -> None:
        for k in range(2**BLOCK - 1):
            packing.log_prob([(block, mask[[k]]) for block, mask in asked], counted)

    def block_by_block() -> None:
        for pieces in batching.batches(asked, BUDGET):
            counted.log_prob(*batching.collate(batching.select(asked, pieces), counted))

    return {"packed": packed, "two copies": two_copies, "block by block": block_by_block}


@torch.no_grad()
def packs_against_copies(length: int, width: int, layers: int, rounds: int) -> Iterator[Row]:
    """Tokens and times of each way over the packed one's."""
    counted = Counted(model(width, layers))
    work = ways(requests(length), counted)
    tokens = {}
    for name, function in work.items():
        before = counted.tokens
        function()
        tokens[name] = counted.tokens - before
    times = interleaved(work, rounds)
    for name in ("two copies", "block by block"):
        about = {"L": length, "width": width, "layers": layers, "tokens_packed": tokens["packed"]}
        limits = {"limit": ">= 1.5"} if name == "two copies" else {}
        yield {"tokens": f"{name} over packed", "ratio": tokens[name] / tokens["packed"], **limits, **about}
        yield {"seconds": f"{name} over packed", **ratio(times, name, "packed")}


def measure(quick: bool) -> Mapping[str, Sequence[Row]]:
    """All sections."""
    sizes = [(16, 64, 1, 1)] if quick else [(128, 256, 4, 5)]
    return {"exact scores of blocks": [row for size in sizes for row in packs_against_copies(*size)]}


if __name__ == "__main__":
    run("blocks", __doc__, measure)
