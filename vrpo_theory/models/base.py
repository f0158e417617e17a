"""The contract of a masked predictor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vrpo_theory.types import Model

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Model", "fingerprint"]


def fingerprint(parameters: Iterable[Tensor]) -> str:
    """Hash of a model's parameters, their types and shapes included."""
    digest = hashlib.sha256()
    for tensor in parameters:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
