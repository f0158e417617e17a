"""Settings of torch and numpy that all code of a process shares, and who changed them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's deterministic mode": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    "numpy's treatment of errors": (np.geterr, lambda errors: np.seterr(**errors)),
}


def settings() -> dict[str, Any]:
    """Their values now, by name."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def changes(before: dict[str, Any]) -> tuple[str, ...]:
    """What differs from then, such as "torch's default dtype from torch.float32 to torch.float64"."""
    return tuple(f"{name} from {before[name]} to {now}" for name, now in settings().items() if now != before[name])


@contextmanager
def settings_kept() -> Iterator[None]:
    """Restore all of them at the end."""
    before = settings()
    try:
        yield
    finally:
        _set(before)


@contextmanager
def usual_settings() -> Iterator[None]:
    """Inside, tensors are made as in a fresh process: float32, on the CPU, and underflow is no error."""
    with settings_kept(), np.errstate(under="ignore"):
        _set({"torch's default dtype": torch.float32, "torch's default device": torch.device("cpu")})
        yield


def _set(values: dict[str, Any]) -> None:
    for name, value in values.items():
        read, write = SETTINGS[name]
        if read() != value:  # a default device that is set, even to the default, slows every call
            write(value)
