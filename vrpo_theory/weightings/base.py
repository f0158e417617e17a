"""What a weighting is: masks in, one weight per mask and token out (layer 1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory._registry import Registry
from vrpo_theory.types import Form, Masks

WEIGHTINGS: Registry[type[Weighting]] = Registry("weighting", "vrpo_theory.weightings")


@dataclass(frozen=True)
class Weighting(ABC):
    """Turns masks into the W of ``sum of W[k, i] log p(y_i | y with S_k masked)``.

    W never depends on log-probabilities, so the estimate stays linear in them and so does its gradient.
    """

    name: ClassVar[str]

    @property
    def separable(self) -> bool:
        """Whether a mask's weights depend on that mask alone (then the variance follows from profiles)."""
        return isinstance(self, Separable)

    @abstractmethod
    def weights(self, masks: Masks) -> NDArray[np.float64]:
        """W, (n, L), zero outside the masks; its rows sum to what plain weighting's rows sum to."""


class Separable(Weighting):
    """One factor per mask, a function of its level."""

    @abstractmethod
    def scale(self, form: Form, level: ArrayLike, length: int) -> NDArray[np.float64]:
        """Factor of the masked sum at each level; same shape as ``level``."""

    def weights(self, masks: Masks) -> NDArray[np.float64]:
        per_mask = masks.weight * self.scale(masks.form, masks.level, masks.mask.shape[1])
        return per_mask[:, None] * masks.mask
