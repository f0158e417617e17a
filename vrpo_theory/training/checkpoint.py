"""A run's state in one safetensors file: weights, optimizer and losses as tensors, the rest as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from vrpo_theory.errors import InputError
from vrpo_theory.files import write_atomically

MOMENTS = ("exp_avg", "exp_avg_sq")


def save(path: Path, run: str, names: Mapping[str, Parameter], optimizer: Optimizer, losses: list[float]) -> None:
    """Write the state after ``len(losses)`` steps; the file of before survives any failure."""
    state = {f"weight.{name}": p.detach() for name, p in names.items()}
    for moment in MOMENTS:
        state |= {f"{moment}.{name}": optimizer.state[p][moment] for name, p in names.items() if p in optimizer.state}
    state = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    state["losses"] = torch.tensor(losses, dtype=torch.float64)
    write_atomically(path, serialize(state, {"run": run, "step": str(len(losses))}))


def restore(path: Path, run: str, names: Mapping[str, Parameter], optimizer: Optimizer) -> list[float]:
    """Put a saved state into the parameters and the optimizer; return the losses so far.

    Raises
    ------
    InputError
        If the file is damaged, or of another run.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a complete checkpoint ({error}): remove it to start again") from None
    if metadata.get("run") != run:
        raise InputError(f"{path} belongs to a run with other options, data or start: remove it or choose another path")
    _put(state, names, optimizer, int(metadata["step"]))
    losses: list[float] = state["losses"].tolist()
    return losses


@torch.no_grad()
def _put(state: Mapping[str, Tensor], names: Mapping[str, Parameter], optimizer: Optimizer, step: int) -> None:
    for name, p in names.items():
        p.copy_(state[f"weight.{name}"])
        if f"{MOMENTS[0]}.{name}" in state:
            moments = {m: torch.empty_like(p).copy_(state[f"{m}.{name}"]) for m in MOMENTS}
            optimizer.state[p] = {"step": torch.tensor(float(step)), **moments}
