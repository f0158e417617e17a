"""Which draws are shared.

The margin (B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) is a sum of contrasts: each has one set
of draws of one response, on which one model or both are evaluated. Sharing masks merges the two models of a response
into one contrast; sharing timesteps puts the two responses' contrasts into one group. Groups are independent, so means
and variance components of the margin are sums over groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vrpo_theory.randomness import Address, Uniforms
from vrpo_theory.types import ROLES, SIDES, Masks, Response, Role, Side

SPREAD = ("cyclic", "stratified")
"""Ways to share one uniform among blocks that spread their counts."""


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
    blocks_shared : bool, "cyclic" or "stratified"
        How the timesteps of a response's B blocks go together: each has its own (False); all have the same, as in the
        training losses of BD3-LM and SDAR (True); the uniforms that choose block b's are those of the first moved by
        b/B around the circle, so that the counts of a pass make a grid ("cyclic"); in every pass each of B equal strata
        of the uniform is one block's, a permutation at random ("stratified": Latin squares over blocks, beside whatever
        strata the design has over passes). A block alone has the same law in all four, so no mean changes. Without
        blocks nothing does.

    Examples
    --------
    Two sets of masks per pair when policy and reference share them, four when not:

    >>> len(Coupling(shared=True).contrasts), len(Coupling(shared=False).contrasts)
    (2, 4)
    """

    shared: bool = True
    levels_shared: bool = False
    blocks_shared: bool | str = False

    def __post_init__(self) -> None:
        for name in ("shared", "levels_shared"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if not isinstance(self.blocks_shared, bool) and self.blocks_shared not in SPREAD:
            raise ValueError(f"blocks_shared must be True, False, {' or '.join(map(repr, SPREAD))}, got "
                             f"{self.blocks_shared!r}")  # fmt: skip
        if self.levels_shared and self.blocks_shared in SPREAD:
            raise ValueError(f"levels_shared gives all blocks the same timesteps, blocks_shared={self.blocks_shared!r} "
                             "spreads them: give one of the two")  # fmt: skip

    @property
    def timesteps_shared(self) -> bool:
        """Whether parts of the margin share their timesteps, so that they are not independent."""
        return self.levels_shared or bool(self.blocks_shared)

    def level_key(self, keys: Mapping[Side, bytes], side: Side) -> bytes | None:
        """What the parts that share their timesteps have in common; None where each has its own."""
        if self.levels_shared:
            return b"".join(sorted(keys.values()))
        return keys[side] if self.blocks_shared else None

    def uniforms(self, address: Address, block: int, blocks: int) -> Uniforms:
        """The streams of one of a response's blocks."""
        if self.blocks_shared == "cyclic":
            return address.turned(block, blocks)
        return address.stratified(block, blocks) if self.blocks_shared == "stratified" else address.uniforms()

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
