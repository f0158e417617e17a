"""Budgets, and the masks that are drawn on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.types._checks import as_count, frozen, require

Form = Literal["time", "count"]


@dataclass(frozen=True)
class Budget:
    """n_t timesteps with n_yt masks each; n = n_t n_yt forward passes (2505.19223v2, Eq. 6).

    >>> Budget(n_t=4, n_yt=2).n
    8
    """

    n_t: int = 8
    n_yt: int = 1

    def __post_init__(self) -> None:
        for name in ("n_t", "n_yt"):
            object.__setattr__(self, name, as_count(name, getattr(self, name)))

    @property
    def n(self) -> int:
        """Forward passes per response and model."""
        return self.n_t * self.n_yt


@dataclass(frozen=True, eq=False)
class Masks:
    """n masks of one response, as a design drew them.

    Parameters
    ----------
    mask : (n, L) bool
        True where the token is masked.
    form : {"time", "count"}
        Whether ``level`` is t in (0, 1] (Eq. 12-13) or l in 1..L (Eq. 14-15).
    level : (n,) float
        t or l of each mask.
    block : (n,) int
        Independent replicate that the mask belongs to; non-decreasing. For iid timesteps, the timestep.
    weight : (n,) float
        Share of the whole estimate that the mask stands for (1/n for iid draws).
    key : bytes
        Of the randomness that weights may add: independent of the masks, and the same whenever they are weighed. Empty
        for masks that are listed, not drawn.

    Examples
    --------
    >>> masks = Masks([[True, False], [True, True]], "count", level=[1, 2], block=[0, 1], weight=[0.5, 0.5])
    >>> masks.mask.sum(1)
    array([1, 2])
    """

    mask: NDArray[np.bool_]
    form: Form
    level: NDArray[np.float64]
    block: NDArray[np.int64]
    weight: NDArray[np.float64]
    key: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen(self.mask, np.bool_))
        object.__setattr__(self, "block", frozen(self.block, np.int64))
        for name in ("level", "weight"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.float64))
        n = len(self.mask)
        require(self.mask.ndim == 2 and n > 0, f"mask must be (n, L) with n >= 1, got shape {self.mask.shape}")
        for name in ("level", "block", "weight"):
            shape = getattr(self, name).shape
            require(shape == (n,), f"{name} must have shape ({n},), got {shape}")
        require(self.form in ("time", "count"), f"form must be 'time' or 'count', got {self.form!r}")
        require(np.all(np.diff(self.block) >= 0), "block must be non-decreasing: sort the draws by block")
        require(np.isfinite(self.weight).all(), "weight must be finite")
        if self.form == "count":
            require((self.mask.sum(1) == self.level).all(), "a count-form mask must mask exactly l tokens")
        else:
            require(((self.level > 0) & (self.level <= 1)).all(), "t must lie in (0, 1]")
