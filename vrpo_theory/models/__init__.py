"""Masked predictors, one module each, imported by name when asked for.

``MODELS["markov"]`` is a module; a toy's module exports ``case(seed, length)``, and all models follow
`vrpo_theory.models.base.Model`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from vrpo_theory.checkpoints.folder import local_folder, read_options
from vrpo_theory.registry import Modules

# tqdm, as transformers imports it, advises in notebooks to install widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")

__all__ = ["MODELS", "load_model"]

MODELS = Modules("model", "vrpo_theory.models")

OWN = {"llada": "llada"}
"""Modules for kinds that transformers does not know; every other kind is transformers' own masked language model."""


def load_model(source: str | Path, *, revision: str | None = None, **options: Any) -> Any:
    """A predictor from a checkpoint, by the model_type in its config.json.

    Parameters
    ----------
    source : path or str
        A folder, or a hub id at a pinned commit: ``org/name@commit``, or ``org/name`` and ``revision``.
    options
        As in `vrpo_theory.models.llada.load` and `vrpo_theory.models.masked_lm.load`.

    Raises
    ------
    InputError
        If anything is missing, damaged, contradictory or not supported.
    """
    folder = local_folder(source, revision)
    kind = str(read_options(folder).get("model_type"))
    return MODELS[OWN.get(kind, "masked_lm")].load(folder, **options)
