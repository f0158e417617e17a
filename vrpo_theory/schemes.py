"""How a score is sampled, in one object: design, weights, budget, sharing and independent groups."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from vrpo_theory.couplings import Contrast, Coupling, Draw
from vrpo_theory.designs.base import DESIGNS, Design
from vrpo_theory.designs.iid import IidCount
from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.randomness import Address
from vrpo_theory.scheme_text import DEFAULT_MEMBERS, EXAMPLE, KEYS, MEMBERS, RARE, document_of, member, spelt_out
from vrpo_theory.types import SIDES, Budget, Case, PreferencePair, Response, Side, as_count
from vrpo_theory.weightings.base import WEIGHTINGS, Weighting
from vrpo_theory.weightings.plain import PLAIN


@dataclass(frozen=True)
class Scheme:
    """How a score is sampled; VRPO's choice where nothing is said.

    >>> scheme = Scheme.parse("power_strata(power=2.0), two_way(), n_t=8, groups=2")
    >>> str(scheme)
    'power_strata(power=2.0), two_way(rho=1.0, slope=True), n_t=8, n_yt=1, groups=2'
    >>> Scheme.from_document(scheme.document()) == scheme
    True

    Parameters
    ----------
    design : Design
        Draws the masks of each response.
    weighting : Weighting
        Weighs their tokens.
    budget : Budget
        Timesteps, and masks at each, of one group.
    coupling : Coupling
        What policy and reference, chosen and rejected share.
    groups : int
        Independent estimates, each of the whole budget, whose mean is taken.
    rejected : Design, optional
        The rejected response's own design, where designs are fitted to responses; None: the chosen one's.

    Raises
    ------
    ValueError
        If the weights are biased under a design, a design cannot spend the budget, there is no group, or responses
        that share timesteps have two designs.
    """

    design: Design = field(default_factory=IidCount)
    weighting: Weighting = PLAIN
    budget: Budget = field(default_factory=Budget)
    coupling: Coupling = field(default_factory=Coupling)
    groups: int = 1
    rejected: Design | None = None

    def __post_init__(self) -> None:
        for name, kind in (("weighting", Weighting), ("budget", Budget), ("coupling", Coupling)):
            _require_kind(name, getattr(self, name), kind)
        for design in self.designs:
            _require_kind("design", design, Design)
            self.weighting.check(design)
            design.admit(self.budget)
        object.__setattr__(self, "groups", as_count("groups", self.groups))
        if self.rejected == self.design:
            object.__setattr__(self, "rejected", None)
        if self.coupling.levels_shared and self.rejected is not None:
            raise ValueError("chosen and rejected share timesteps, so they need one design: got one for each")

    @property
    def designs(self) -> tuple[Design, ...]:
        """The different designs: one, or the chosen and the rejected response's."""
        return (self.design,) if self.rejected is None else (self.design, self.rejected)

    def design_of(self, side: Side) -> Design:
        """The design of one response."""
        return self.designs[-1] if side == "rejected" else self.design

    @property
    def iid(self) -> bool:
        """Whether timesteps are replicates of one another, so that they give standard errors."""
        return self.weighting.separable and all(design.iid_timesteps for design in self.designs)

    @property
    def blocks(self) -> int:
        """Independent unbiased estimates whose mean is the score: timesteps where these are iid, else groups."""
        return self.groups * (self.budget.n_t if self.iid else 1)

    @property
    def passes(self) -> int:
        """Forward passes per response and model."""
        return self.budget.n * self.groups

    @property
    def vrpo_budget(self) -> Budget:
        """All timesteps, for what holds under VRPO's design and weights alone: groups are more timesteps there.

        Raises
        ------
        ValueError
            Under other designs or weights.
        """
        if self.designs != (VRPO.design,) or self.weighting != VRPO.weighting:
            raise ValueError(
                f"this holds for iid_count() and plain() weights, got {self}: sample, or change the scheme"
            )
        return Budget(self.budget.n_t * self.groups, self.budget.n_yt)

    def draw(self, pair: PreferencePair | Case, *, seed: int, repeat: int = 0, group: int = 0) -> tuple[Draw, ...]:
        """Draw the masks of one group's every contrast.

        Parameters
        ----------
        pair : PreferencePair or Case
            Under a case's models a response may have several parts, the blocks of block diffusion: each has masks of
            its own. A pair alone says nothing of models, so its responses are whole.
        """
        sides = {side: pair.parts(side) for side in SIDES}
        keys = {side: b"".join(sorted(part.key for part in parts)) for side, parts in sides.items()}

        def drawn(contrast: Contrast, part: Response, place: int) -> Draw:
            design = self.design_of(contrast.side)
            role = None if self.coupling.shared else contrast.roles[0]  # named only where the roles' masks differ
            n_t, n_yt = self.budget.n_t, self.budget.n_yt
            levels = self.coupling.level_key(keys, contrast.side)
            address = Address(seed, design.address, n_t, n_yt, part.key, repeat, group, role, levels)
            uniforms = self.coupling.uniforms(address, place, len(sides[contrast.side]))
            return Draw(contrast, part, design.draw(uniforms, part.length, self.budget), group)

        return tuple(
            drawn(contrast, part, place)
            for contrast in self.coupling.contrasts
            for place, part in enumerate(sides[contrast.side])
        )

    def draws(self, pair: PreferencePair | Case, *, seed: int, repeat: int = 0) -> tuple[Draw, ...]:
        """Masks of all groups, one group after the other."""
        groups = range(self.groups)
        return tuple(draw for group in groups for draw in self.draw(pair, seed=seed, repeat=repeat, group=group))

    def document(self) -> Document:
        """JSON form, read back by `from_document`; `RARE` keys are there only where they are used."""
        told = {
            "design": self.design.address,
            "weighting": self.weighting.spec,
            "n_t": self.budget.n_t,
            "n_yt": self.budget.n_yt,
            "shared": self.coupling.shared,
            "groups": self.groups,
        }
        rare = {key: getattr(self.coupling, key) for key in RARE if getattr(self.coupling, key)}
        return told | rare | ({} if self.rejected is None else {"rejected": self.rejected.address})

    @classmethod
    def from_document(cls, document: Fields) -> Self:
        """From the JSON form, or that of a plan that holds it as "run"; what is left out is VRPO's choice.

        The design ``default`` stands for `default_scheme`'s, and for its weights where none are given.

        Raises
        ------
        ValueError
            For a key or value that does not belong there; or as the class.
        """
        document = document.get("run", document)
        unknown = set(document) - set(KEYS)
        if unknown:
            raise ValueError(f"a scheme has no {', '.join(sorted(map(repr, unknown)))}; it has: {', '.join(KEYS)}")
        told = {**VRPO.document(), **dict.fromkeys(RARE, False), "rejected": None, **spelt_out(document)}
        return cls(
            member(DESIGNS, told["design"]),
            member(WEIGHTINGS, told["weighting"]),
            Budget(told["n_t"], told["n_yt"]),
            Coupling(told["shared"], **{key: told[key] for key in RARE}),
            told["groups"],
            None if told["rejected"] is None else member(DESIGNS, told["rejected"]),
        )

    @property
    def text(self) -> str:
        """Text form, read back by `parse`; what is VRPO's choice is left out, but for design, weights and budget."""
        told, usual, always = self.document(), VRPO.document(), ("n_t", "n_yt")
        members = [told.pop("design"), told.pop("weighting")]
        options = {k: v if k in MEMBERS else repr(v) for k, v in told.items() if k in always or v != usual.get(k)}
        return ", ".join(members + [f"{k}={v}" for k, v in options.items()])

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text form: design and weights in this order, then options by name, as in `EXAMPLE`.

        Raises
        ------
        ValueError
            For text that is not of this form; or as `from_document`.
        """
        return cls.from_document(document_of(text))


def read_scheme(source: str) -> Scheme:
    """A scheme from its text, or from a file with its text or JSON; what ``vrpo plan --json`` wrote is such a file.

    Raises
    ------
    InputError
        If it is neither.
    """
    there = os.path.exists(source)
    try:
        content = Path(source).read_text(encoding="utf-8").strip() if there else source
        return Scheme.from_document(json.loads(content)) if content.startswith("{") else Scheme.parse(content)
    except (OSError, ValueError) as error:
        known = source if there else f"{source!r} is no file, and no scheme"
        raise InputError(f"{known}: {one_line(error)}") from None


def _require_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {value!r}: Scheme.parse reads {EXAMPLE!r}")


VRPO = Scheme()
"""The paper's recommendation: iid counts, plain weights, n_t = 8, n_yt = 1, masks shared by policy and reference."""


def default_scheme(n: int = VRPO.budget.n_t, groups: int = 1, coupling: Coupling | None = None) -> Scheme:
    """What this package samples with where nothing is known of the models: `DEFAULT_MEMBERS`.

    Parameters
    ----------
    n : int
        Forward passes per response and model, of one group.
    groups : int
        One group has no standard error.
    coupling : Coupling, optional
        Shared by policy and reference unless said otherwise.
    """
    return Scheme(*DEFAULT_MEMBERS, Budget(n), coupling or Coupling(), groups)
