"""Masked predictors, one module each, imported by name when asked for.

``MODELS["markov"]`` is a module; a toy's module exports ``case(seed, length)``, and all models follow
`vrpo_theory.models.base.Model`. A module that reads checkpoints also exports its declaration, a
`vrpo_theory.checkpoints.family.Family`, as ``FAMILY``, and ``load(source, *, revision, **options)`` with the options of
`vrpo_theory.checkpoints.options.LoadOptions`; importing it imports neither torch nor transformers.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Unpack

from vrpo_theory.checkpoints.folder import local_folder, read_options
from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.errors import InputError
from vrpo_theory.registry import Modules

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.description import Description
    from vrpo_theory.checkpoints.wrapped import Wrapped

# tqdm, as transformers imports it, advises in notebooks to install widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")

__all__ = ["MODELS", "describe", "family_of", "load_model"]

MODELS = Modules("model", "vrpo_theory.models")
REFUSED = {
    "Fast_dLLM_QwenForCausalLM": "Fast-dLLM v2 trains a block's first token from the noisy block before it and "
    "samples it from the clean one, so it has no one ELBO: use SDAR, LLaDA2 or A2D for block diffusion",
}
"""Architectures that look like a family's, and why they are none."""


def load_model(source: str | Path, *, revision: str | None = None, **options: Unpack[LoadOptions]) -> Wrapped:
    """A predictor from a checkpoint, by the architectures and the model_type in its config.json.

    Parameters
    ----------
    source : path or str
        A folder, or a hub id at a pinned commit: ``org/name@commit``, or ``org/name`` and ``revision``.
    **options
        ``device``, ``dtype`` and others, as in `vrpo_theory.checkpoints.options.LoadOptions`.

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
    model: Wrapped = family_of(folder, read_options(folder)).load(folder, **options)
    return model


def describe(source: str | Path, *, mask_token_id: int | None = None, block_length: int | None = None) -> Description:
    """What a checkpoint is, from its files' headers alone; torch is not imported.

    Parameters
    ----------
    source : path or str
        A folder, or a hub id with its commit.
    mask_token_id, block_length : int, optional
        As in `vrpo_theory.checkpoints.options.LoadOptions`.

    Raises
    ------
    InputError
        If a file is missing or damaged, or two of them contradict each other.

    Examples
    --------
    >>> found = describe(Path(MODELS["llada"].__file__).with_name("tiny") / "policy")
    >>> found.family.title, found.parameters, found.facts.mask_token_id.value
    ('LLaDA 8B and 1.5', 127680, 258)
    """
    from vrpo_theory.checkpoints import description

    folder = local_folder(source)
    options = read_options(folder)
    given = {"mask_token_id": mask_token_id, "block_length": block_length}
    return description.describe(folder, family_of(folder, options).FAMILY, options, **given)


def family_of(folder: Path, options: Mapping[str, Any]) -> ModuleType:
    """The module that reads a checkpoint: by its architecture, else its model_type, else transformers' masked models.

    Parameters
    ----------
    folder : path
        Named in errors.
    options : mapping
        The content of its config.json.

    Raises
    ------
    InputError
        If architecture and model_type name two families, or one of `REFUSED`.
    """
    kind, stated = options.get("model_type"), options.get("architectures")
    architectures = list(map(str, stated)) if isinstance(stated, list) else []
    for name, reason in REFUSED.items():
        if name in architectures or name.startswith(f"{kind}For"):
            raise InputError(f"{folder / 'config.json'}: {name} is not supported: {reason}")
    families = MODELS.having("FAMILY")
    by_architecture = [m for m in families if set(architectures) & set(m.FAMILY.architectures)]
    by_type = [m for m in families if m.FAMILY.by_type and m.FAMILY.model_type == kind]
    if by_architecture and by_type and by_architecture[0].FAMILY.model_type != kind:
        one, other = by_architecture[0].FAMILY.title, by_type[0].FAMILY.title
        raise InputError(
            f"{folder / 'config.json'}: architectures {architectures!r} are of {one}, model_type {kind!r} of {other}: "
            "correct one"
        )
    return (by_architecture or by_type or [MODELS["masked_lm"]])[0]
