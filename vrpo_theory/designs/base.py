"""What a design is: levels from uniforms, masks from levels, and the exact law of the levels."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.designs._parts import Array, Block, Timesteps, difference
from vrpo_theory.randomness import Uniforms
from vrpo_theory.registry import Member, Registry
from vrpo_theory.types import Budget, Form, Masks, Profile

DESIGNS: Registry[type[Design]] = Registry("design", "vrpo_theory.designs")

__all__ = [
    "DESIGNS", "Array", "Block", "Design", "Entry", "Flags", "Timesteps", "binomial", "difference", "equal_shares",
    "masked", "outcomes", "sets", "single", "subsets",
]  # fmt: skip

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Entry:
    """A row that a design has in the comparison of designs.

    Parameters
    ----------
    name : str
    make : Profile -> Design
        The design, from the exact profile of the response where it is an oracle's.
    n_yt : int
        Masks per timestep; 1 leaves it to the design's `Design.split`.
    shared : bool
        Whether policy and reference see the same masks.
    everywhere : bool
        Whether it runs on long responses even where it must be sampled.
    gradient : bool
        Whether the variance of its gradient is sampled, too.
    """

    name: str
    make: Callable[[Profile], Design]
    n_yt: int = 1
    shared: bool = True
    everywhere: bool = False
    gradient: bool = False


@dataclass(frozen=True)
class Design(Member, ABC):
    """Draws the masks of one ELBO estimate.

    A leaf writes `timesteps` and `law`; the base turns levels into masks, n_yt of them at the SAME level: of exactly l
    tokens in the count form, of each token independently with probability t in the time form. A leaf whose masks depend
    on one another also writes `cover` and `joint_masks`. Fields are parameters. One file in the folder makes a member:

    >>> @dataclass(frozen=True)
    ... class AllMasked(Design):
    ...     '''Everything masked, every time: biased, without noise.'''
    ...
    ...     name = "all_masked"
    ...
    ...     @property
    ...     def unbiased(self):
    ...         return False
    ...
    ...     def timesteps(self, uniforms, length, n_t):
    ...         return equal_shares(np.full(n_t, float(length)))
    ...
    ...     def law(self, length, budget):
    ...         return (single(np.ones(1), np.full(1, float(length)), 1 / budget.n_t),) * budget.n_t
    >>> from vrpo_theory.randomness import Address
    >>> AllMasked().draw(Address(0, "all_masked()", 1, 1, b"").uniforms(), 3, Budget(1)).mask
    array([[ True,  True,  True]])

    ``DESIGNS.add(AllMasked.name, AllMasked)`` at the end of the file registers it.
    """

    form: ClassVar[Form] = "count"

    iid_timesteps: ClassVar[bool] = False
    """Whether timesteps are independent and identically distributed (then they give standard errors)."""
    independent_masks: ClassVar[bool] = True
    """Whether masks are independent given the levels (then the variance follows from profiles)."""
    permutation_invariant: ClassVar[bool] = True
    """Whether the joint law of the masks is unchanged by permuting positions."""
    convolvable: ClassVar[bool] = True
    """Whether blocks list their outcomes in the order of one uniform (then laws convolve, and can be shared)."""

    @property
    def unbiased(self) -> bool:
        """Whether the plain estimate has the ELBO as its mean for every model, length and budget."""
        return True

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        """Its rows in the comparison of designs: one, with default parameters; none where it is no rival."""
        return (cls().entry(),)

    @classmethod
    def planned(cls) -> tuple[Self, ...]:
        """Members that the planner weighs for training; none unless a design says so."""
        return ()

    def entry(self, name: str = "", **traits: Any) -> Entry:
        """A row of this member, whatever the profile; ``traits`` as in `Entry`."""
        return Entry(name or self.name.replace("_", " "), lambda profile: self, **traits)

    @property
    def address(self) -> str:
        """Name and parameters: part of where the design's randomness lives."""
        return self.spec

    def split(self, n: int) -> Budget:
        """How the design best spends n forward passes; it may leave one over."""
        return Budget(n, 1)

    def admit(self, budget: Budget) -> None:
        """ValueError for a budget that the design cannot spend."""

    @abstractmethod
    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        """Draw n_t levels for a response of ``length`` tokens."""

    @abstractmethod
    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """Exact law of the levels as independent blocks; each level carries n_yt masks."""

    def counts(self, drawn: Array, length: int) -> Array:
        """P(l | level that masks are drawn at) of the number of masked tokens l = 0..L, (..., L + 1)."""
        if self.form == "count":
            found: Array = (drawn[..., None] == np.arange(length + 1)).astype(float)
            return found
        return binomial(length, drawn)

    def cover(self, uniforms: Array, level: Array) -> Flags:
        """Masks (n, L) from uniforms (n, L), at the n levels that masks are drawn at."""
        return masked(self.form, uniforms, level)

    def joint_masks(self, level: Array, length: int) -> Iterator[tuple[float, Flags]]:
        """Every joint draw (n, L) of masks at n given levels, with its probability."""
        choices = [list(subsets(int(count), length)) for count in level]
        prob = 1 / math.prod(map(len, choices))
        return ((prob, np.stack(rows)) for rows in itertools.product(*choices))

    def draw(self, uniforms: Uniforms, length: int, budget: Budget) -> Masks:
        """Draw the n = n_t n_yt masks of one estimate, ordered by timestep."""
        self.admit(budget)
        steps = self.timesteps(uniforms, length, budget.n_t)
        drawn = steps.level if steps.masking is None else steps.masking
        mask = self.cover(uniforms.mask(budget.n, length), np.repeat(drawn, budget.n_yt))
        return self._masks(mask, steps.level, steps.weight, budget, uniforms.key)

    def joint(self, length: int, budget: Budget) -> Iterator[tuple[float, Masks]]:
        """Every joint draw with its probability: the finite law that small cases are checked against.

        Raises
        ------
        ValueError
            In the time form, whose law is continuous.
        """
        if self.form != "count":
            raise ValueError(f"{self.name}: the time form has no finite joint law; use the count form")
        self.admit(budget)
        for prob, level, weight in outcomes(self.law(length, budget)):
            for chance, mask in self.joint_masks(np.repeat(level, budget.n_yt), length):
                yield prob * chance, self._masks(mask, level, weight, budget)

    def _masks(self, mask: Flags, level: Array, weight: Array, budget: Budget, key: bytes = b"") -> Masks:
        """``level`` and ``weight`` of the n_t timesteps, spread over their masks."""
        # Timesteps that are not iid make one block together.
        replicate = np.arange(budget.n_t) if self.iid_timesteps else np.zeros(budget.n_t, np.int64)
        level, weight = np.repeat(level, budget.n_yt), np.repeat(weight / budget.n_yt, budget.n_yt)
        return Masks(mask, self.form, level, np.repeat(replicate, budget.n_yt), weight, key)


def outcomes(blocks: tuple[Block, ...]) -> Iterator[tuple[float, Array, Array]]:
    """Every joint outcome of independent blocks: probability, levels (n_t,), weights (n_t,)."""
    for chosen in itertools.product(*(range(len(b.prob)) for b in blocks)):
        picked = list(zip(blocks, chosen, strict=True))
        prob = math.prod(float(b.prob[q]) for b, q in picked)
        yield prob, np.concatenate([b.level[q] for b, q in picked]), np.concatenate([b.weight[q] for b, q in picked])


def masked(form: Form, uniforms: Array, level: Array) -> Flags:
    """Masks (n, L) from uniforms (n, L): the l smallest ranks in the count form, u < t in the time form."""
    if form == "time":
        return uniforms < level[:, None]
    # A stable sort breaks ties by position, so the masks are the same on every machine.
    order = np.argsort(uniforms, axis=1, kind="stable")
    out = np.empty(uniforms.shape, bool)
    np.put_along_axis(out, order, np.arange(uniforms.shape[1]) < level[:, None], axis=1)
    return out


def subsets(count: int, length: int) -> Iterator[Flags]:
    """Every mask (L,) of ``count`` tokens."""
    for tokens in itertools.combinations(range(length), count):
        mask = np.zeros(length, bool)
        mask[list(tokens)] = True
        yield mask


def binomial(length: int, t: Array) -> Array:
    """P(l | t) of the count l = 0..L when each token is masked with probability t; shape t.shape + (L + 1,)."""
    from scipy.stats import binom

    found: Array = binom.pmf(np.arange(length + 1), length, t[..., None])
    return found


def equal_shares(level: Array, masking: Array | None = None) -> Timesteps:
    """Timesteps that weigh the same."""
    return Timesteps(level, np.full(len(level), 1 / len(level)), masking)


def single(prob: Array, level: Array, share: float | Array, masking: Array | None = None) -> Block:
    """A block of one timestep; every argument (Q,), or a number for a share that is the same for all."""
    weight = np.broadcast_to(np.asarray(share, dtype=float), level.shape)[:, None]
    return Block(prob, level[:, None], weight, None if masking is None else masking[:, None])


def sets(length: int, n_t: int) -> list[int]:
    """Sizes of the fewest independent sets of at most L timesteps that hold n_t; as equal as can be."""
    number = -(-n_t // length)
    return [n_t // number + (k < n_t % number) for k in range(number)]
