"""Which draws are shared (layer 1).

The margin (B_policy - B_reference)(chosen) - (B_policy - B_reference)(rejected) is a sum of independent contrasts: each
has one set of draws of one response, on which one model or both are evaluated. Sharing merges the two models of a
response into one contrast; so means and variance components of the margin are sums over contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vrpo_theory.randomness import Address, Uniforms
from vrpo_theory.types import ROLES, SIDES, Budget, Masks, PreferencePair, Response, Role, Side


class Sampler(Protocol):
    """Anything that draws masks; a `vrpo_theory.designs.Design` does."""

    @property
    def address(self) -> str: ...

    def draw(self, uniforms: Uniforms, length: int, budget: Budget) -> Masks: ...


@dataclass(frozen=True)
class Contrast:
    """One independent part of the margin.

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
    """The masks drawn for one contrast of one pair."""

    contrast: Contrast
    response: Response
    masks: Masks


@dataclass(frozen=True)
class Coupling:
    """Whether policy and reference see the same masks (the paper's "antithetic sampling")."""

    shared: bool = True

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The independent parts of the margin: two when shared, four when not."""
        signs = zip(SIDES, (1.0, -1.0), strict=True)
        if self.shared:
            return tuple(Contrast(side, (sign, -sign)) for side, sign in signs)
        return tuple(Contrast(side, c) for side, sign in signs for c in ((sign, 0.0), (0.0, -sign)))

    def draw(
        self, pair: PreferencePair, design: Sampler, budget: Budget, *, seed: int, repeat: int = 0, group: int = 0
    ) -> tuple[Draw, ...]:
        """Draw the masks of every contrast; the address names the role only where the roles' masks differ."""
        return tuple(
            Draw(contrast, response, self._masks(contrast, response, design, budget, seed, repeat, group))
            for contrast in self.contrasts
            for response in (pair.side(contrast.side),)
        )

    def _masks(
        self,
        contrast: Contrast,
        response: Response,
        design: Sampler,
        budget: Budget,
        seed: int,
        repeat: int,
        group: int,
    ) -> Masks:
        role = None if self.shared else contrast.roles[0]
        address = Address(seed, design.address, budget.n_t, budget.n_yt, response.key, repeat, group, role)
        return design.draw(address.uniforms(), response.length, budget)
