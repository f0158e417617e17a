"""Policy and reference from their folders: one base under an adapter, or two models, together or one at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.runs.console import say
from vrpo_theory.runs.fingerprints import load

if TYPE_CHECKING:
    import torch

    from vrpo_theory.checkpoints.lora import AdapterOff
    from vrpo_theory.checkpoints.wrapped import Wrapped
    from vrpo_theory.runs.inputs import Sources


def load_roles(sources: Sources, policy: str | Path, reference: str | Path) -> tuple[Wrapped, Wrapped | AdapterOff]:
    """Both models, ready to be evaluated.

    Raises
    ------
    InputError
        As `vrpo_theory.load_model`.
    """
    if sources.adapter is not None and _same(policy, reference):
        return _adapted(sources.options, policy, Path(sources.adapter))
    adapted: LoadOptions = {**sources.options, "adapter": sources.adapter}
    if sources.options.get("device_map") is not None or not _in_turn(sources, policy, reference):
        return load(policy, **adapted), load(reference, **sources.options)
    from vrpo_theory.checkpoints.turns import Turns

    here: LoadOptions = {**adapted, "device": "cpu"}
    there: LoadOptions = {**sources.options, "device": "cpu"}
    models = load(policy, **here), load(reference, **there)
    Turns(models, _device(sources))
    return models


def _adapted(options: LoadOptions, policy: str | Path, adapter: Path) -> tuple[Wrapped, AdapterOff]:
    """The model with its adapter, and the same weights with the adapter off."""
    from vrpo_theory.checkpoints import lora
    from vrpo_theory.checkpoints.adapter import attach
    from vrpo_theory.checkpoints.placement import quiet

    model = load(policy, **options)
    base = model.fingerprint
    with quiet():
        attach(model.module, adapter)
    model.eval()
    return model, lora.base_of(model, base)


def _in_turn(sources: Sources, policy: str | Path, reference: str | Path) -> bool:
    """Whether the models are evaluated one at a time: as asked, or because the device has no room for both."""
    if sources.one_at_a_time:
        return True
    from vrpo_theory.checkpoints import turns
    from vrpo_theory.checkpoints.placement import as_dtype
    from vrpo_theory.models import describe

    room = turns.room(_device(sources))
    if room is None:
        return False
    size = as_dtype(sources.options.get("dtype", "float32")).itemsize
    needed = size * sum(describe(source).parameters for source in (policy, reference))
    if needed <= room:
        return False
    say(f"the two models need {needed / 1e9:.3g} GB, {_device(sources)} has {room / 1e9:.3g} GB for them: they are "
        "evaluated one at a time (--one-at-a-time)")  # fmt: skip
    return True


def _device(sources: Sources) -> torch.device:
    from vrpo_theory.checkpoints.placement import as_device

    return as_device(sources.options.get("device", "cpu"))


def _same(policy: str | Path, reference: str | Path) -> bool:
    return str(policy) == str(reference) or Path(policy).resolve() == Path(reference).resolve()
