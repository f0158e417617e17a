"""The true bias of the loss, E loss_hat - loss: one-sided, Theta(V), with a sharp bound. All ours."""

from __future__ import annotations

import math

from vrpo_theory.instances import StatedLaw, two_point
from vrpo_theory.statements import loss
from vrpo_theory.statements.base import state

CUBIC = 1 / (36 * math.sqrt(3))
"""max |f'''| / 6, with max |f'''| = 1/(6 sqrt 3)."""

ASSUMPTIONS = ("E s_hat = s, the true score", "V is the variance of s_hat")


def _biased() -> StatedLaw:
    return two_point(-3.0, -2.9, mean=0.0)


@state(
    "bias", "ours", r"\mathbb{E}\hat\ell - \ell \le \log\frac{\cosh(\sqrt{\mu^2 + V}/2)}{\cosh(\mu/2)}",
    "<=", "score law", form="sharp", assumptions=ASSUMPTIONS,
    witness=lambda: two_point(-2.0, 2.0, 0.3), violated_by=_biased,
)  # fmt: skip
def bias(x: StatedLaw) -> tuple[float, float]:
    """-log sigmoid(x) = -x/2 + log 2 cosh(x/2); the first part is linear, hence unbiased.

    The second is a function of u = x^2, log 2 cosh(sqrt(u)/2), concave since its derivative
    tanh(sqrt(u)/2)/(4 sqrt(u)) falls. By Jensen E log 2 cosh(X/2) <= log 2 cosh(sqrt(E X^2)/2), and E X^2 = mu^2 + V.
    Equality when X^2 is constant: X = +-sqrt(mu^2 + V). That the bias is at least 0 is `lemma1.concave`.
    """
    return loss.bias(x), float(loss.bias_bound(x.mean, x.variance))


@state(
    "bias_uniform", "ours", r"\mathbb{E}\hat\ell - \ell \le \log\cosh(\sqrt{V}/2)", "<=", "score law", form="sharp",
    assumptions=ASSUMPTIONS, witness=lambda: two_point(-2.0, 2.0), violated_by=_biased,
)  # fmt: skip
def uniform_bias(x: StatedLaw) -> tuple[float, float]:
    """`bias` is a difference of a concave function at mu^2 + V and at mu^2, so it is largest at mu = 0."""
    return loss.bias(x), float(loss.uniform_bias_bound(x.variance))


@state(
    "bias_simple", "ours", r"\mathbb{E}\hat\ell - \ell \le \min(V/8, \sqrt{V}/2)", "<=", "score law", form="sharp",
    assumptions=ASSUMPTIONS, witness=lambda: two_point(-0.05, 0.05), violated_by=_biased,
    constant=1 / 8,
)  # fmt: skip
def simple_bias(x: StatedLaw) -> tuple[float, float]:
    """log cosh z <= min(z^2/2, z) at z = sqrt(V)/2. Tight as V -> 0 and as V -> infinity: Theta(V) for small V."""
    return loss.bias(x), float(loss.simple_bias_bound(x.variance))


@state(
    "bias_local", "ours", r"\mathbb{E}\hat\ell - \ell = \tfrac12 q(1-q) V + O(\sqrt{\kappa_4} V^{3/2})",
    "approx", "score law", form="sharp", assumptions=ASSUMPTIONS, violated_by=_biased,
)  # fmt: skip
def local_bias(x: StatedLaw) -> tuple[float, float, float]:
    """Taylor to third order: the remainder is at most max|f'''|/6 E|X - mu|^3.

    E|Y|^3 <= sqrt(E Y^2 E Y^4) = sqrt(kappa4) V^(3/2) by Cauchy-Schwarz.
    """
    return loss.bias(x), float(loss.local_bias(x.mean, x.variance)), CUBIC * x.kurtosis**0.5 * x.variance**1.5
