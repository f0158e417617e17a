"""What a weighting is: masks in, one weight per mask and token out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vrpo_theory.registry import Member, Registry
from vrpo_theory.types import Form, Masks, MaskSampler

WEIGHTINGS: Registry[type[Weighting]] = Registry("weighting", "vrpo_theory.weightings")


@dataclass(frozen=True)
class JoinedEntry:
    """A row that a weighting has in the comparison of designs.

    Parameters
    ----------
    name : str
        Of the weights; the design's comes before it.
    weighting : Weighting
    design : str
        Name of the design whose masks it weighs.
    everywhere, gradient : bool
        As for a design's own row, `vrpo_theory.designs.base.Entry`.
    planned : bool
        Whether the planner weighs it for training.
    """

    name: str
    weighting: Weighting
    design: str
    everywhere: bool = False
    gradient: bool = False
    planned: bool = False


@dataclass(frozen=True)
class Weighting(Member, ABC):
    """Turns masks into the W of ``sum of W[k, i] log p(y_i | y with S_k masked)``.

    W never depends on log-probabilities, so the estimate stays linear in them and so does its gradient. A subclass
    writes `weights`, or `Separable.scale` if a mask's weights depend on its level alone:

    >>> class OverShare(Separable):
    ...     '''The masked sum over the share of tokens that a mask hides: plain weights once more.'''
    ...
    ...     name = "over_share"
    ...
    ...     def scale(self, form, level, length):
    ...         share = np.asarray(level, dtype=float) / (length if form == "count" else 1)
    ...         return np.where(share > 0, 1 / np.maximum(share, 1e-300), 0.0)
    >>> masks = Masks([[True, False], [True, True]], "count", [1, 2], [0, 1], [0.5, 0.5])
    >>> OverShare().weights(masks)
    array([[1. , 0. ],
           [0.5, 0.5]])

    ``WEIGHTINGS.add(OverShare.name, OverShare)`` at the end of a file in the folder registers it.
    """

    keeps_row_sums: ClassVar[bool] = True
    """Whether a mask's weights sum to what its plain weights sum to."""
    needs_independent_masks: ClassVar[bool] = False
    """Whether it is unbiased only where every mask is a uniform subset given its size and all other masks."""
    needs_permutation_invariance: ClassVar[bool] = False
    """Whether it is unbiased only where permuting positions leaves the joint law of the masks as it is."""
    positions_alike: ClassVar[bool] = True
    """Whether permuting positions permutes the weights; else only moving them round does."""

    @property
    def separable(self) -> bool:
        """Whether a mask's weights depend on that mask alone (then the variance follows from profiles)."""
        return isinstance(self, Separable)

    @classmethod
    def entries(cls) -> tuple[JoinedEntry, ...]:
        """Its rows in the comparison of designs; none unless a weighting says so."""
        return ()

    def check(self, design: MaskSampler) -> None:
        """ValueError for a design under which these weights are biased."""
        if self.needs_independent_masks and not design.independent_masks:
            raise ValueError(f"{self.name} weights are biased on {design.name}'s dependent masks; use two_way or plain")
        if self.needs_permutation_invariance and not design.permutation_invariant:
            raise ValueError(f"{self.name} weights need masks that treat all positions equally, {design.name} does not")

    @abstractmethod
    def weights(self, masks: Masks) -> NDArray[np.float64]:
        """W, (n, L), zero outside the masks."""


class Separable(Weighting):
    """One factor per mask, a function of its level."""

    @abstractmethod
    def scale(self, form: Form, level: ArrayLike, length: int) -> NDArray[np.float64]:
        """Factor of the masked sum at each level; same shape as ``level``."""

    def per_mask(self, masks: Masks) -> NDArray[np.float64]:
        """Weight of every masked token of each mask, (n,): its share times the factor."""
        return masks.weight * self.scale(masks.form, masks.level, masks.mask.shape[1])

    def weights(self, masks: Masks) -> NDArray[np.float64]:
        return self.per_mask(masks)[:, None] * masks.mask
