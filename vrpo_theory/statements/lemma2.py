"""Lemma 2: the gradient of the expected loss is the expected gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.instances import GradientLaw, expect, gradient_law
from vrpo_theory.numerics import total
from vrpo_theory.statements import gradient
from vrpo_theory.statements.base import PAPER, state

STEP = 1e-20


def _complex_log_sigmoid(z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    sign = np.where(z.real >= 0, 1.0, -1.0)
    return np.where(sign < 0, z, 0) - np.log1p(np.exp(-sign * z))


@state(
    "lemma2", PAPER + "Lemma 2", r"\nabla \mathbb{E} f(X) = \mathbb{E} \nabla f(X)", "=", "gradient law",
    assumptions=("||grad X|| is bounded uniformly", "the masks' law does not depend on the parameters"),
    violated_by=lambda: gradient_law([0.5, 0.5], [-1.0, 1.0], [1.0, 2.0], prob_slope=[0.3, -0.3]),
)  # fmt: skip
def interchange(x: GradientLaw) -> tuple[float, float]:
    """Dominated convergence; for finitely many atoms, the derivative of a finite sum.

    Along the direction of ones. The left side differentiates E f(X) by a complex step, free of cancellation.
    """
    value = _complex_log_sigmoid(x.value + 1j * STEP * x.gradient.sum(1))
    prob = x.prob + 1j * STEP * x.prob_slope.sum(1)
    return total((prob * value).imag) / STEP, expect(x.prob, gradient.loss_gradient(x).sum(1))
