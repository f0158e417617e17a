"""Models on a device that has room for one of them: whoever is asked moves in, and the last one out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from vrpo_theory.checkpoints.identity import tensors
from vrpo_theory.checkpoints.wrapped import Wrapped

SPARE = 0.9
"""Share of a device's free memory that weights may take: the rest is for activations and logits."""


def room(device: torch.device) -> int | None:
    """Bytes for weights on a device; None on the CPU, where they stay in their files until they are read."""
    return int(SPARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


class Turns:
    """Models that are on the device one at a time; the weights' own place stays where they were loaded.

    Evaluation asks for a turn before every batch, and goes through a model's batches before the next model's. Weights
    are not changed meanwhile: what is on the device is dropped, not copied back.

    Parameters
    ----------
    models : sequence of Wrapped
        Loaded on the CPU.
    device : torch.device
    """

    def __init__(self, models: Sequence[Wrapped], device: torch.device) -> None:
        self.device = device
        self._inside: Wrapped | None = None
        self._home: list[tuple[Tensor, Tensor]] = []
        for model in models:
            model.turn = partial(self.take, model)

    def take(self, model: Wrapped) -> None:
        """Have a model's weights on the device, and no other's."""
        if self._inside is model:
            return
        if self._inside is not None:
            self._place(self._inside, [home for _, home in self._home])
        self._inside, self._home = model, [(tensor, tensor.data) for _, tensor in tensors(model.module)]
        self._place(model, [copied(home, self.device) for _, home in self._home])

    def _place(self, model: Wrapped, values: Sequence[Tensor]) -> None:
        known = model.fingerprint
        for (tensor, _), value in zip(self._home, values, strict=True):
            tensor.data = value
        model.accept_fingerprint(known)


def copied(home: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device."""
    return home.to(device)
