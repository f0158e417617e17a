"""LLaDA (arXiv 2502.09992), native: the architecture, its checkpoints, and a pair of models of toy size."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from vrpo_theory.models.llada.checkpoint import fingerprint, load
from vrpo_theory.models.llada.configuration import LLaDAConfig
from vrpo_theory.models.llada.modeling import LLaDAModelLM
from vrpo_theory.models.llada.predictor import LLaDA
from vrpo_theory.types import ROLES, Case, PreferencePair, Response, Role

__all__ = ["LLaDA", "LLaDAConfig", "LLaDAModelLM", "case", "fingerprint", "load", "tiny"]

MODEL_TYPES = ("llada",)
"""What this family reads, by the model_type of config.json."""
PROMPT, ORDINARY = 5, 256

AutoConfig.register("llada", LLaDAConfig, exist_ok=True)
AutoModel.register(LLaDAConfig, LLaDAModelLM, exist_ok=True)
AutoModelForCausalLM.register(LLaDAConfig, LLaDAModelLM, exist_ok=True)


def tiny(role: Role) -> LLaDA:
    """A LLaDA of 2 layers and 259 tokens with random weights, float32 on the CPU; a copy of the caller's own.

    The reference's weights are the policy's plus small noise.

    Raises
    ------
    ValueError
        If ``role`` is neither "policy" nor "reference".
    """
    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, got {role!r}")
    return copy.deepcopy(_packaged(role))


@cache
def _packaged(role: Role) -> LLaDA:
    return load(Path(__file__).with_name("tiny") / role)


def case(seed: int, length: int = 8) -> Case:
    """The tiny pair with a prompt of 5 tokens and two different uniform responses, over ids 0..255."""
    rng = np.random.default_rng(7000 + seed)

    def draw(tokens: int) -> tuple[int, ...]:
        return tuple(rng.integers(ORDINARY, size=tokens).tolist())

    prompt, chosen, rejected = draw(PROMPT), draw(length), draw(length)
    while rejected == chosen:
        rejected = draw(length)
    pair = PreferencePair(Response(prompt, chosen), Response(prompt, rejected), f"llada-{seed}")
    return Case(tiny("policy"), tiny("reference"), pair)
