"""LLaDA (arXiv 2502.09992), native: the architecture, its checkpoints, and a pair of models of toy size."""

from __future__ import annotations

import copy
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.family import Family

if TYPE_CHECKING:
    from vrpo_theory.models.llada.checkpoint import fingerprint
    from vrpo_theory.models.llada.configuration import LLaDAConfig
    from vrpo_theory.models.llada.modeling import LLaDAModelLM
    from vrpo_theory.models.llada.predictor import LLaDA
    from vrpo_theory.types import Case, Role

__all__ = ["FAMILY", "LLaDA", "LLaDAConfig", "LLaDAModelLM", "case", "fingerprint", "load", "tiny"]

FAMILY: Family[LLaDA] = Family(
    title="LLaDA 8B and 1.5",
    model_type="llada",
    architectures=("LLaDAModelLM",),
    usual_mask=126336,
    mask_names=("<|mdm_mask|>",),
    checked="the release's code: logits, padded rows, per-mask tables; the 8B layout",
    unchecked="trained weights, a GPU",
    reader="vrpo_theory.models.llada.checkpoint",
)
load = FAMILY.load
PROMPT, ORDINARY = 5, 256
_HOMES = {
    "LLaDA": "predictor", "LLaDAConfig": "configuration", "LLaDAModelLM": "modeling", "fingerprint": "checkpoint",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What needs torch is imported when first used, so that the declaration stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def tiny(role: Role) -> LLaDA:
    """A LLaDA of 2 layers and 259 tokens with random weights, float32 on the CPU; a copy of the caller's own.

    The reference's weights are the policy's plus small noise.

    Raises
    ------
    ValueError
        If ``role`` is neither "policy" nor "reference".
    """
    from vrpo_theory.types import ROLES

    if role not in ROLES:
        raise ValueError(f"role must be one of {', '.join(ROLES)}, got {role!r}")
    return copy.deepcopy(_packaged(role))


@cache
def _packaged(role: Role) -> LLaDA:
    return load(Path(__file__).with_name("tiny") / role)


def case(seed: int, length: int = 8) -> Case:
    """The tiny pair with a prompt of 5 tokens and two different uniform responses, over ids 0..255."""
    import numpy as np

    from vrpo_theory.checkpoints.toy_pair import toy_pair
    from vrpo_theory.types import Case

    pair = toy_pair(np.random.default_rng(7000 + seed), ORDINARY, PROMPT, length, f"llada-{seed}")
    return Case(tiny("policy"), tiny("reference"), pair)
