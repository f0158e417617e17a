"""Which draws are shared.

The margin (B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) is a sum of contrasts: each has one set
of draws of one response, on which one model or both are evaluated. Sharing masks merges the two models of a response
into one contrast; sharing timesteps puts the two responses' contrasts into one group. Groups are independent, so means
and variance components of the margin are sums over groups.
"""

from __future__ import annotations

from dataclasses import dataclass

from vrpo_theory.types import ROLES, SIDES, Masks, Response, Role, Side


@dataclass(frozen=True)
class Contrast:
    """One part of the margin.

    Parameters
    ----------
    side : {"chosen", "rejected"}
    coefficients : (float, float)
        Coefficients of the policy's and the reference's log-probabilities in the margin.
    """

    side: Side
    coefficients: tuple[float, float]

    @property
    def roles(self) -> tuple[Role, ...]:
        """Models that are evaluated on this contrast's masks."""
        return tuple(role for role, c in zip(ROLES, self.coefficients, strict=True) if c)

    def coefficient(self, role: Role) -> float:
        """Coefficient of one model."""
        return self.coefficients[ROLES.index(role)]


@dataclass(frozen=True, eq=False)
class Draw:
    """The masks drawn for one contrast of one pair, as part of one independent group."""

    contrast: Contrast
    response: Response
    masks: Masks
    group: int = 0


@dataclass(frozen=True)
class Coupling:
    """Which draws are shared.

    Parameters
    ----------
    shared : bool
        Policy and reference see the same masks (the paper's "antithetic sampling").
    levels_shared : bool
        Chosen and rejected have the same timesteps as well: the same uniforms choose them, through the quantiles of
        each response's own length. So do all blocks of block diffusion.
    blocks_shared : bool
        All blocks of a response have the same timesteps, as in the training losses of BD3-LM and SDAR. Without blocks
        it changes nothing.

    Examples
    --------
    Two sets of masks per pair when policy and reference share them, four when not:

    >>> len(Coupling(shared=True).contrasts), len(Coupling(shared=False).contrasts)
    (2, 4)
    """

    shared: bool = True
    levels_shared: bool = False
    blocks_shared: bool = False

    def __post_init__(self) -> None:
        for name in ("shared", "levels_shared", "blocks_shared"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")

    @property
    def timesteps_shared(self) -> bool:
        """Whether parts of the margin share their timesteps, so that they are not independent."""
        return self.levels_shared or self.blocks_shared

    @property
    def groups(self) -> tuple[tuple[Contrast, ...], ...]:
        """The independent parts of the margin; contrasts of one part share their timesteps."""
        parts = [(1.0, -1.0)] if self.shared else [(1.0, 0.0), (0.0, -1.0)]
        pairs = [tuple(_contrast(side, part) for side in SIDES) for part in parts]
        if self.levels_shared:
            return tuple(pairs)
        return tuple((pair[k],) for k in range(len(SIDES)) for pair in pairs)

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Every set of draws: two when masks are shared, four when not."""
        return tuple(contrast for group in self.groups for contrast in group)


def _contrast(side: Side, part: tuple[float, float]) -> Contrast:
    sign = 1.0 if side == "chosen" else -1.0
    return Contrast(side, (sign * part[0], sign * part[1]))
