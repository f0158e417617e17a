"""What a checkpoint is, from config.json, the tokenizer's files and the headers of its weights; no value is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.facts import Source
from vrpo_theory.checkpoints.family import Facts, Family
from vrpo_theory.checkpoints.weights import FLOATS, Header, read_headers
from vrpo_theory.errors import InputError

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

SIZES = {
    "layers": ("num_hidden_layers", "n_layers"),
    "width": ("hidden_size", "d_model"),
    "heads": ("num_attention_heads", "n_heads"),
    "experts": ("num_experts",),
    "vocabulary": ("vocab_size",),
    "longest": ("max_position_embeddings", "max_sequence_length"),
}
"""Words for sizes, and their names in config.json."""
BYTES = {"float32": 4, "bfloat16": 2}
TRAINED = 4
"""Numbers per weight in training: itself, its gradient, and AdamW's two moments."""


@dataclass(frozen=True)
class Description:
    """A checkpoint.

    Parameters
    ----------
    folder : path
    family : Family
    options : mapping
        The content of config.json.
    facts : Facts
    """

    folder: Path
    family: Family[Wrapped]
    options: Mapping[str, Any]
    facts: Facts

    @cached_property
    def headers(self) -> dict[str, Header]:
        """Every tensor's, by name, read when first asked for; InputError if a file is missing or damaged."""
        return read_headers(self.folder)

    @property
    def sizes(self) -> dict[str, Any]:
        """Sizes by word, as config.json states them."""
        named = {word: [self.options[key] for key in keys if key in self.options] for word, keys in SIZES.items()}
        return {word: found[0] for word, found in named.items() if found and found[0] is not None}

    @property
    def parameters(self) -> int:
        """Numbers in the weight files; a tied matrix counts as often as it is stored."""
        return sum(math.prod(header.shape) for header in self.headers.values())

    @property
    def dtypes(self) -> dict[str, int]:
        """Stored types, and how many tensors have each."""
        return dict(Counter(header.dtype for header in self.headers.values()).most_common())

    @property
    def problems(self) -> list[str]:
        """Why it cannot be loaded, as far as this shows without the weights' names and values."""
        found = list(self.facts.missing)
        if odd := self.dtypes.keys() - {*FLOATS}:
            found.append(f"holds {', '.join(sorted(odd))}, expected {', '.join(FLOATS)}: convert them")
        try:
            self.family.check(self.folder / "config.json", self.options)
        except InputError as error:
            found.append(f"is not supported, {error}")
        return found

    def memory(self) -> dict[str, dict[str, int]]:
        """Bytes to hold the weights of one model, and those with gradients and AdamW's moments, by type."""
        held = {dtype: self.parameters * size for dtype, size in BYTES.items()}
        return {"scoring": held, "training": {dtype: TRAINED * size for dtype, size in held.items()}}

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        facts = {"block_length": self.facts.block_length, "mask_token_id": self.facts.mask_token_id}
        return {
            "folder": str(self.folder),
            "family": self.family.title,
            "model_type": self.options.get("model_type"),
            "architectures": self.options.get("architectures"),
            "sizes": self.sizes,
            "parameters": self.parameters,
            "tensors": len(self.headers),
            "dtypes": self.dtypes,
            "shift": {"value": self.facts.shift, "where": self.family.everywhere},
            "attention": {"value": self.attention, "where": self.facts.block_length.where},
            **{name: {"value": source.value, "where": source.where} for name, source in facts.items()},
            "memory": self.memory(),
            "problems": self.problems,
        }

    @property
    def attention(self) -> str:
        """The kind of attention, in a word."""
        blocks = self.family.attention == "blocks" or self.facts.block_length.value is not None
        return "block-causal" if blocks else "full"


def describe(folder: Path, family: Family[Wrapped], options: Mapping[str, Any], **given: int | None) -> Description:
    """A description by a family; see `vrpo_theory.models.describe`."""
    return Description(folder, family, options, family.facts(folder, options, **given))


def said(source: Source) -> str:
    """A fact with where it was found, in words."""
    return "not stated" if source.value is None else f"{source.value} ({source.where})"
