"""``vrpo inspect``: what a checkpoint is, from headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vrpo_theory.cli.options import BlockLength, Json, MaskTokenId
from vrpo_theory.runs.console import exit_codes, print_json, show

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.description import Description

SIZES = {
    "layers": "{} layers", "width": "width {}", "heads": "{} heads", "experts": "{} experts",
    "vocabulary": "vocabulary {}", "longest": "sequences of up to {} tokens",
}  # fmt: skip


def inspect(
    checkpoint: Annotated[str, typer.Argument(help="a checkpoint's folder, or hub id org/name@COMMIT")],
    mask_token_id: MaskTokenId = None,
    block_length: BlockLength = None,
    json: Json = False,
) -> None:
    """Show what a checkpoint is: family, sizes, shift, attention, mask token, types, memory, and what it still lacks.

    Only config.json, the tokenizer's files and the headers of the weights are read. Names and shapes of the tensors are
    compared with the family's when the checkpoint is loaded.
    """
    with exit_codes():
        from vrpo_theory.models import describe

        found = describe(checkpoint, mask_token_id=mask_token_id, block_length=block_length)
        if json:
            print_json(found.document())
        else:
            show(_text(found))


def _text(found: Description) -> str:
    """A line per fact."""
    facts, options = found.facts, found.options
    from vrpo_theory.checkpoints.description import said

    named = f"architectures {options.get('architectures')}, model_type {options.get('model_type')!r}"
    where = "the column itself" if facts.shift == 0 else "the column before"
    blocks = f", blocks of {facts.block_length.value or 'unknown length'}" if found.attention == "block-causal" else ""
    memory = found.memory()
    lines = {
        "family": f"{found.family.title} ({named})",
        "sizes": ", ".join(SIZES[word].format(_number(size)) for word, size in found.sizes.items()),
        "parameters": f"{found.parameters:,} in {len(found.headers):,} tensors, stored as {_types(found)}",
        "shift": f"{facts.shift}: {where} predicts a token ({found.family.everywhere})",
        "attention": f"{found.attention}{blocks} ({facts.block_length.where})",
        "mask token": said(facts.mask_token_id),
        "to score": f"{_sizes(memory['scoring'])} for the weights of a model",
        "to train": f"{_sizes(memory['training'])} with gradients and AdamW's moments; weights alone under an adapter",
        "supported": "; ".join(f"not yet: it {problem}" for problem in found.problems) or _uses(found),
    }
    return "\n".join(f"{name:12}{line}" for name, line in lines.items())


def _number(size: object) -> str:
    """A size as config.json states it, which may be no number."""
    return f"{size:,}" if isinstance(size, int) else repr(size)


def _types(found: Description) -> str:
    dtypes = found.dtypes
    return next(iter(dtypes)) if len(dtypes) == 1 else ", ".join(f"{name} ({n:,})" for name, n in dtypes.items())


def _sizes(by_type: dict[str, int]) -> str:
    unit, factor = ("GB", 1e9) if max(by_type.values()) > 1e9 else ("MB", 1e6)
    return ", ".join(f"{size / factor:.3g} {unit} in {dtype}" for dtype, size in by_type.items())


def _uses(found: Description) -> str:
    blocks = found.attention == "block-causal"
    exact = f"2^{found.facts.block_length.value} - 1 masks a block" if blocks else "responses of up to 12 tokens"
    return f"score, plan, reproduce; exact ELBOs ({exact}) or Monte Carlo; LoRA adapters; checked when it is loaded"
