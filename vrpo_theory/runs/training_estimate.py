"""What a training run would take, from headers, configuration and pairs alone: no model is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError
from vrpo_theory.runs import inputs, ranks
from vrpo_theory.runs.training_options import TrainingOptions
from vrpo_theory.types import SIDES, PreferencePair

GB = 1e9
WIDTHS, LAYERS = ("d_model", "hidden_size"), ("n_layers", "num_hidden_layers")
KEPT = 20
"""Activations that a block keeps for the backward pass, in widths of the model per token: projections, norms, the
MLP's three inner layers of about 3 widths each, residuals."""
LOGITS = 3 * 134e6
"""Bytes of a chunk of logits, in float32, the same normalised, and their gradient."""


def describe(sources: inputs.Sources, options: TrainingOptions) -> str:
    """Steps, passes, tokens and memory, in lines."""
    from vrpo_theory.training.full_scale.stream import split

    both = replace(sources, reference=sources.reference or sources.policy)
    pairs, held_out = split(inputs.read_unloaded(both), options.held_out)
    if not pairs:
        raise InputError(f"{sources.pairs}: all {len(held_out)} pairs are held out: lower --held-out")
    objective, steps = options.objective(), options.steps_over(len(pairs))
    per_pair = 3 * len(SIDES) * objective.scheme.passes + bool(options.anchor)
    epochs = steps * options.batch / len(pairs)
    lines = [
        f"pairs: {len(pairs)} to train on, {len(held_out)} held out",
        f"steps: {steps} of {options.batch} pairs, {epochs:.3g} epochs; "
        f"{options.pairs_per_process} pairs per process and micro-step, {ranks.ranks()} processes",
        f"scores: {objective.scheme}; loss {objective.loss.spec}, {objective.estimator}",
        f"passes: {per_pair * options.batch:,} a step, {per_pair * options.batch * steps:,} in all: policy, reference, "
        f"and the policy again for the gradient, {objective.scheme.passes} masks per response",
        f"tokens: about {_length(pairs) * per_pair * options.batch:,.0f} a step, in batches of {options.batch_tokens}",
        *_memory(sources, options),
    ]
    return "\n".join(lines)


def _length(pairs: Sequence[PreferencePair]) -> float:
    """Mean tokens of a prompt and a response."""
    lengths = [len(pair.side(side).prompt) + pair.side(side).length for pair in pairs for side in SIDES]
    return sum(lengths) / len(lengths)


def _memory(sources: inputs.Sources, options: TrainingOptions) -> list[str]:
    """Bytes of one process, in GB."""
    from vrpo_theory.checkpoints.folder import local_folder, read_options
    from vrpo_theory.checkpoints.placement import as_dtype
    from vrpo_theory.checkpoints.weights import read_headers

    folder = local_folder(str(sources.policy))
    shapes, config = [header.shape for header in read_headers(folder).values()], read_options(folder)
    wide = as_dtype(sources.options.get("dtype", "float32")).itemsize
    count = sum(math.prod(shape) for shape in shapes)
    adapted = options.adapter_rank is not None or sources.adapter is not None
    trained = _adapter_size(shapes, config, _rank(sources, options)) if adapted else count
    copies = 1 if adapted and sources.reference in (None, sources.policy) else 2
    held = max(wide, 4) if adapted else wide
    parts = {
        f"weights, {count:,} parameters in {copies} cop{'y' if copies == 1 else 'ies'}": copies * count * wide,
        f"gradients and AdamW of {trained:,} parameters": 3 * trained * held + (trained * held if adapted else 0),
        "activations, about": _activations(config, options, wide),
    }
    lines = [f"  {size / GB:.3g} GB: {what}" for what, size in parts.items()]
    return [f"memory of a process: about {sum(parts.values()) / GB:.3g} GB", *lines]


def _rank(sources: inputs.Sources, options: TrainingOptions) -> int:
    from vrpo_theory.checkpoints.adapter import CONFIG
    from vrpo_theory.checkpoints.folder import read_json

    return options.adapter_rank or int(read_json(Path(str(sources.adapter)) / CONFIG)["r"])


def _adapter_size(shapes: Sequence[Sequence[int]], config: Mapping[str, Any], rank: int) -> int:
    """Parameters of an adapter on every matrix but embeddings and head, which have a side as long as the vocabulary."""
    longest = int(config.get("vocab_size", 0))
    matrices = [shape for shape in shapes if len(shape) == 2 and max(shape) < longest]
    return sum(rank * (rows + columns) for rows, columns in matrices)


def _activations(config: Mapping[str, Any], options: TrainingOptions, wide: int) -> float:
    width, layers = (next((int(config[n]) for n in names if n in config), 0) for names in (WIDTHS, LAYERS))
    half = 2 if options.mixed_precision != "no" else wide
    blocks = layers + KEPT if options.gradient_checkpointing else KEPT * layers
    return options.batch_tokens * width * blocks * half + LOGITS
