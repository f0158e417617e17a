"""What a design is: levels from uniforms, masks from levels, and the exact law of the levels (layer 1)."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from vrpo_theory._registry import Registry
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget, Form, Masks

DESIGNS: Registry[type[Design]] = Registry("design", "vrpo_theory.designs")


@dataclass(frozen=True, eq=False)
class Block:
    """The exact law of one independent block of timesteps.

    Parameters
    ----------
    prob : (Q,) float
        Probability of each outcome; sums to 1.
    level : (Q, J) float
        The J levels drawn together in each outcome.
    weight : (Q, J) float
        Each level's share of the whole estimate.
    """

    prob: NDArray[np.float64]
    level: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Timesteps:
    """The levels of one estimate before masks: ``level``, ``block`` and ``weight``, each (n_t,)."""

    level: NDArray[np.float64]
    block: NDArray[np.int64]
    weight: NDArray[np.float64]


@dataclass(frozen=True)
class Design(ABC):
    """Draws the masks of one ELBO estimate.

    A leaf writes `timesteps` and `law`; the base turns levels into masks, n_yt of them at the SAME level: of exactly l
    tokens in the count form, of each token independently with probability t in the time form. Fields are parameters.
    """

    name: ClassVar[str]
    form: ClassVar[Form]

    unbiased: ClassVar[bool] = True
    """Whether the plain estimate has the ELBO as its mean for every model."""
    iid_timesteps: ClassVar[bool] = False
    """Whether timesteps are independent and identically distributed (then they give standard errors)."""
    independent_masks: ClassVar[bool] = True
    """Whether masks are independent given the levels (then the variance follows from profiles)."""
    permutation_invariant: ClassVar[bool] = True
    """Whether the joint law of the masks is unchanged by permuting positions."""

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Members to test the contract on; overridden where a parameter has no default."""
        return (cls(),)

    @property
    def address(self) -> str:
        """Name and parameters: part of where the design's randomness lives."""
        return f"{self.name}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields(self))})"

    @abstractmethod
    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        """Draw n_t levels for a response of ``length`` tokens."""

    @abstractmethod
    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """Exact law of the levels as independent blocks; each level carries n_yt masks."""

    def draw(self, uniforms: Uniforms, length: int, budget: Budget) -> Masks:
        """Draw the n = n_t n_yt masks of one estimate, ordered by timestep."""
        steps = self.timesteps(uniforms, length, budget.n_t)
        level = np.repeat(steps.level, budget.n_yt)
        mask = masked(self.form, uniforms.mask(budget.n, length), level)
        weight = np.repeat(steps.weight / budget.n_yt, budget.n_yt)
        return Masks(mask, self.form, level, np.repeat(steps.block, budget.n_yt), weight)

    def joint(self, length: int, budget: Budget) -> Iterator[tuple[float, Masks]]:
        """Every joint draw with its probability: the finite law that small cases are checked against.

        Raises
        ------
        ValueError
            In the time form, whose law is continuous.
        """
        if self.form != "count":
            raise ValueError(f"{self.name}: the time form has no finite joint law; use the count form")
        blocks = self.law(length, budget)
        for outcomes in itertools.product(*(range(len(b.prob)) for b in blocks)):
            prob = math.prod(float(b.prob[q]) for b, q in zip(blocks, outcomes, strict=True))
            level = np.concatenate([b.level[q] for b, q in zip(blocks, outcomes, strict=True)])
            weight = np.concatenate([b.weight[q] for b, q in zip(blocks, outcomes, strict=True)])
            block = np.repeat(np.arange(len(blocks)), [b.level.shape[1] for b in blocks])
            yield from _all_masks(prob, level, block, weight, length, budget.n_yt)


def masked(form: Form, uniforms: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Masks (n, L) from uniforms (n, L): the l smallest ranks in the count form, u < t in the time form."""
    if form == "time":
        return uniforms < level[:, None]
    # A stable sort breaks ties by position, so the masks are the same on every machine.
    rank = np.argsort(np.argsort(uniforms, axis=1, kind="stable"), axis=1, kind="stable")
    return rank < level[:, None]


def _all_masks(
    prob: float,
    level: NDArray[np.float64],
    block: NDArray[np.int64],
    weight: NDArray[np.float64],
    length: int,
    n_yt: int,
) -> Iterator[tuple[float, Masks]]:
    level, block, weight = np.repeat(level, n_yt), np.repeat(block, n_yt), np.repeat(weight, n_yt) / n_yt
    subsets = [list(itertools.combinations(range(length), int(count))) for count in level]
    each = prob / math.prod(map(len, subsets))
    for chosen in itertools.product(*subsets):
        mask = np.zeros((len(level), length), bool)
        for row, tokens in zip(mask, chosen, strict=True):
            row[list(tokens)] = True
        yield each, Masks(mask, "count", level, block, weight)
