"""Masked predictors, one module each, imported by name when asked for.

``MODELS["markov"]`` is a module; a toy's module exports ``case(seed, length)``, and all models follow
`vrpo_theory.models.base.Model`. A module that reads checkpoints exports ``load(source, *, revision, **options)`` with
the options of `vrpo_theory.checkpoints.options.LoadOptions` and, where transformers
does not know them, the ``MODEL_TYPES`` of their config.json.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Unpack

from vrpo_theory.checkpoints.folder import local_folder, read_options
from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.registry import Modules

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

# tqdm, as transformers imports it, advises in notebooks to install widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")

__all__ = ["MODELS", "load_model"]

MODELS = Modules("model", "vrpo_theory.models")


def load_model(source: str | Path, *, revision: str | None = None, **options: Unpack[LoadOptions]) -> Wrapped:
    """A predictor from a checkpoint, by the model_type in its config.json.

    Parameters
    ----------
    source : path or str
        A folder, or a hub id at a pinned commit: ``org/name@commit``, or ``org/name`` and ``revision``.
    **options
        ``device``, ``dtype`` and others, as in `vrpo_theory.checkpoints.options.LoadOptions`; a family may have more,
        such as the ``mask_token_id`` of `vrpo_theory.models.masked_lm.load`.

    Raises
    ------
    InputError
        If anything is missing, damaged, contradictory or not supported.

    Examples
    --------
    >>> folder = Path(MODELS["llada"].__file__).with_name("tiny") / "policy"
    >>> model = load_model(folder, dtype="float64")
    >>> model.dtype, model.vocabulary
    (torch.float64, 259)
    """
    folder = local_folder(source, revision)
    kind = str(read_options(folder).get("model_type"))
    model: Wrapped = _family(kind).load(folder, **options)
    return model


def _family(kind: str) -> ModuleType:
    """The module that names this model_type among its ``MODEL_TYPES``; transformers' masked models where none does."""
    own = (MODELS[name] for name in MODELS.names())
    return next((m for m in own if kind in getattr(m, "MODEL_TYPES", ())), MODELS["masked_lm"])
