"""Robust DPO (arXiv 2403.00409): flipped labels averaged out."""

from __future__ import annotations

from dataclasses import dataclass

from vrpo_theory.losses.base import LOSSES
from vrpo_theory.losses.smoothed import Smoothed


@dataclass(frozen=True)
class Robust(Smoothed):
    """((1 - flip) f(s) - flip f(-s)) / (1 - 2 flip), f DPO's: its mean over labels, a share flipped, is f's of none.

    Parameters
    ----------
    flip : float
        Share of labels that are the wrong way round, from 0 to below 1/2.
    """

    name = "robust"

    @property
    def shares(self) -> tuple[float, float]:
        scale = 1 - 2 * self.flip
        return (1 - self.flip) / scale, -self.flip / scale


LOSSES.add(Robust.name, Robust)
