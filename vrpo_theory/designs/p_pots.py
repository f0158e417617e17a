"""P-POTS: t drawn from a density fitted to the second moment of the term (StableDLLM, arXiv 2511.18159)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from vrpo_theory.designs._quadrature import log_uniform, require_positive_floor
from vrpo_theory.designs.base import DESIGNS, Array, Block, Design, Entry, Timesteps, binomial, difference, single
from vrpo_theory.randomness import Uniforms
from vrpo_theory.types import Budget, Profile

GRID = 4096
"""Cells on which the density is constant."""
RIDGE = 1e-5
"""Nats that a fit pays for half a squared log-parameter; its densities cost less than 0.1% of variance."""
STARTS = np.zeros(7), np.array([3.0, -3.0, 1.0, 0.0, -3.0, 0.0, 0.0])
"""Of a fit, as log-parameters: a density that hardly varies, and one that rises with t as `a` t^r does."""
DIGITS = 3
"""Significant digits of fitted parameters: 1e8 times what rounding moves them, and 1e-5 of the variance."""


@dataclass(frozen=True)
class PPots(Design):
    """iid t with density proportional to sqrt(a t^r + b (1 - t)^q + A^2 exp(2 k t^m)) on [eps, 1], shares 1/density.

    The root of E[ell^2 | t], variance plus squared mean, is the density of least variance; this is the family that the
    paper fits to it. The same floor as in `IidTime` acts in mask and weight, and biases as it does there.

    Parameters
    ----------
    a, b, r, q, A, k, m : float
        From `fitted`, or by hand; a, b, A at least 0 and not all 0.
    eps : float
        Floor of t, in (0, 1).
    """

    a: float = 0.0
    b: float = 1.0
    r: float = 1.0
    q: float = 2.0
    A: float = 0.5
    k: float = 0.0
    m: float = 1.0
    eps: float = 1e-3

    name = "p_pots"
    form = "time"
    iid_timesteps = True

    def __post_init__(self) -> None:
        require_positive_floor(self.name, self.eps)
        if min(self.a, self.b, self.A) < 0 or not self.a + self.b + self.A > 0:
            raise ValueError(f"{self.name}: expected a, b, A >= 0, not all 0; got {self}")

    @property
    def unbiased(self) -> bool:
        """Never for every model, because of the floor."""
        return False

    @classmethod
    def fitted(cls, second_moment: Callable[[Array], Array], eps: float = 1e-3) -> Self:
        """The member nearest, in Kullback-Leibler divergence, to the root of E[ell^2 | t] at given t (T,).

        The same on every machine: a small ridge chooses among members whose densities are alike, and the parameters
        have few digits, of which rounding moves none.
        """
        t = eps + (1 - eps) * (np.arange(GRID) + 0.5) / GRID
        target = np.sqrt(second_moment(t))
        found = _parameters(_nearest(t, target / target.sum()))
        a, b, r, q, A, k, m = (float(f"{value:.{DIGITS}g}") for value in found)
        return cls(a, b, r, q, A, k, m, eps)

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        return (Entry("P-POTS, oracle", _oracle),)

    def timesteps(self, uniforms: Uniforms, length: int, n_t: int) -> Timesteps:
        edge, density = self._cells()
        # The inverse of the distribution function, which is linear on each cell: steps are its values at right ends.
        steps = np.cumsum(density) / density.sum()
        u = uniforms.level(n_t)
        cell = np.minimum(np.searchsorted(steps, u, side="right"), GRID - 1)
        start = np.where(cell > 0, steps[cell - 1], 0.0)
        t = edge[cell] + (edge[cell + 1] - edge[cell]) * (u - start) / (steps[cell] - start)
        return Timesteps(np.maximum(t, self.eps), density.mean() / density[cell] / n_t)

    def law(self, length: int, budget: Budget) -> tuple[Block, ...]:
        """Quadrature of the uniform law, moved to the density; its steps are too small to matter."""
        prob, t = log_uniform(self.eps, 1.0, length)
        edge, density = self._cells()
        # density over that of the uniform law, on the cell that each node lies in
        ratio = density[np.clip(np.searchsorted(edge, t, side="right") - 1, 0, GRID - 1)] / density.mean()
        tilted = prob * ratio
        # Shares are uniform over tilted probabilities, so that share times probability sums as the uniform law does.
        return (single(tilted / tilted.sum(), t, tilted.sum() / ratio / budget.n_t),) * budget.n_t

    def _cells(self) -> tuple[Array, Array]:
        edge = self.eps + (1 - self.eps) * np.arange(GRID + 1) / GRID
        return edge, _density((edge[:-1] + edge[1:]) / 2, self.a, self.b, self.r, self.q, self.A, self.k, self.m)


def _density(t: Array, a: float, b: float, r: float, q: float, A: float, k: float, m: float) -> Array:
    return np.sqrt(a * t**r + b * (1 - t) ** q + A**2 * np.exp(2 * k * t**m))


def _parameters(z: Array) -> Array:
    """a, b, r, q, A, k, m from unconstrained numbers (7,): all positive, exponents r, q, m at least 1."""
    found: Array = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]) + np.exp(z)
    return found


def _nearest(t: Array, target: Array) -> Array:
    """z (7,) of the least KL(target, density) + RIDGE |z|^2 / 2, by scoring; both are probabilities of cells (T,)."""
    from scipy.optimize import minimize, root

    def loss(z: Array) -> tuple[float, Array]:
        density, score = _scored(t, z)
        value = float(target @ np.log(target / density) + RIDGE / 2 * z @ z)
        return value, score @ (density - target) + RIDGE * z

    def information(z: Array) -> Array:
        density, score = _scored(t, z)
        mean = score @ density
        found: Array = (score * density) @ score.T - np.outer(mean, mean) + RIDGE * np.eye(len(z))
        return found

    near = min(
        (minimize(loss, start, jac=True, hess=information, method="trust-exact", options={"gtol": 1e-8})
         for start in STARTS),
        key=lambda found: found.fun,
    )  # fmt: skip
    # Rounding hides the minimum of a value up to its root; the zero of the gradient it moves by 1e-11 only.
    found: Array = root(lambda z: loss(z)[1], near.x, tol=1e-13).x
    return found


def _scored(t: Array, z: Array) -> tuple[Array, Array]:
    """Probabilities of the cells, (T,), and d log density / dz before normalisation, (7, T)."""
    a, b, r, q, A, k, m = _parameters(z)
    _, _, in_r, in_q, _, _, in_m = np.exp(z)
    rising, falling, growing = a * t**r, b * (1 - t) ** q, A**2 * np.exp(2 * k * t**m)
    by_k = 2 * k * t**m * growing
    slope = np.stack([
        rising, falling, in_r * np.log(t) * rising, in_q * np.log1p(-t) * falling,
        2 * growing, by_k, in_m * np.log(t) * by_k,
    ])  # fmt: skip
    square = rising + falling + growing
    density = np.sqrt(square)
    return density / density.sum(), slope / (2 * square)


@lru_cache(maxsize=256)
def _oracle(profile: Profile) -> PPots:
    """Fitted to the root of E[ell^2 | t] of the difference of policy and reference."""
    second = difference(profile)[1]
    return PPots.fitted(lambda t: binomial(profile.length, t) @ second / t**2 + 1e-300, eps=1e-3)


DESIGNS.add(PPots.name, PPots)
