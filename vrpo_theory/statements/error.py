"""Mean absolute error and variance of the loss: Lemma 3 (16)-(17), Theorem 1, and their sharp forms."""

from __future__ import annotations

from vrpo_theory.instances import StatedLaw, score_law, two_point
from vrpo_theory.numerics import sigmoid
from vrpo_theory.statements import loss
from vrpo_theory.statements.base import PAPER, state

UNBIASED = "E s_hat = s, the true score"
MOMENT = "V is the variance of s_hat"
BOUNDED = "s_hat >= a"


def _biased() -> StatedLaw:
    return two_point(-3.0, -2.9, mean=0.0)


def _understated() -> StatedLaw:
    """Scores twenty nats apart whose variance is said to be 1, as if noise that is there had been left out."""
    return two_point(-60.0, -40.0, variance=1.0)


def _far() -> StatedLaw:
    """Scores so low that f is the identity there."""
    return two_point(-41.0, -39.0)


def _outlier() -> StatedLaw:
    """Mean 0, and a rare score of -10^5 that makes up the variance."""
    rare, low = 1e-4, -1e5
    return score_law([rare, 1 - rare], [low, -low * rare / (1 - rare)])


def _understated_range() -> StatedLaw:
    return two_point(-1.0, 1.0, lower=5.0)


@state(
    "theorem1_error", PAPER + "Theorem 1, first line, at a fixed pair",
    r"\mathbb{E}|\hat\ell_{DPO} - \ell_{DPO}| \le \sqrt{\mathbb{V} \hat s}", "<=", "score law",
    assumptions=(UNBIASED,), witness=_far, violated_by=_biased, sharp="bias",
    constant=1.0,
)  # fmt: skip
@state(
    "lemma3_error", PAPER + "Lemma 3 (16)", r"\mathbb{E}|f(X) - f(\mu)| \le \sqrt{V}", "<=", "score law",
    assumptions=(UNBIASED,), witness=_far, violated_by=_biased,
    constant=1.0,
)  # fmt: skip
def error(x: StatedLaw) -> tuple[float, float]:
    """E|f(X) - f(mu)| <= E|X - mu| <= sqrt(V): f is 1-Lipschitz, then Jensen.

    The second is an equality just if |X - mu| is constant, the first never unless V = 0, as f' < 1. So equality holds
    in a limit alone: X = mu +- sqrt(V) with V fixed and mu -> -infinity, where f' -> 1 on both values.

    Theorem 1 calls the left side the bias. It is a mean absolute error; the bias obeys the much smaller `bias.bias`.
    Its printed right side has a stray expectation over pairs, which a fixed pair does not.
    """
    return loss.mean_absolute_error(x), float(loss.mean_absolute_error_bound(x.variance))


@state(
    "theorem1_variance", PAPER + "Theorem 1, second line",
    r"\mathbb{V} \hat\ell_{DPO} \le 4\, \mathbb{V} \hat s", "<=", "score law",
    verdict="true with a better constant", assumptions=(MOMENT,), violated_by=_understated, sharp="variance",
    constant=4.0,
)  # fmt: skip
@state(
    "lemma3_variance", PAPER + "Lemma 3 (17)", r"\mathbb{V} f(X) \le 4 V", "<=", "score law",
    verdict="true with a better constant", assumptions=(MOMENT,), violated_by=_understated, sharp="variance",
    constant=4.0,
)  # fmt: skip
def printed_variance(x: StatedLaw) -> tuple[float, float]:
    """V f(X) <= 4 V, from V f(X) <= V; the factor 4 is never needed."""
    return loss.loss_variance(x), float(loss.printed_variance_bound(x.variance))


@state(
    "variance", "ours", r"\mathbb{V} f(X) \le V", "<=", "score law", form="sharp",
    assumptions=(MOMENT,), witness=_outlier, violated_by=_understated,
    constant=1.0,
)  # fmt: skip
def variance(x: StatedLaw) -> tuple[float, float]:
    """Half E(f(X) - f(X'))^2 <= half E(X - X')^2 for an independent copy X', as f is 1-Lipschitz.

    The constant 1 is not attained unless V = 0: 0 < f' < 1, so |f(x) - f(x')| < |x - x'| wherever x and x' differ, and
    they differ with positive probability. It is best possible at every mu: put probability p at mu - r, the rest at
    mu + p r/(1 - p), and let r grow with p r -> 0. Then V = p r^2/(1 - p), and V f(X) = p (1 - p) (difference of f)^2,
    where the difference is r + O(1) as f(x) = x + O(e^x) to the left: the ratio tends to 1.
    """
    return loss.loss_variance(x), float(loss.variance_bound(x.variance))


@state(
    "square_error", "ours", r"\mathbb{E}(f(X) - f(\mu))^2 \le V", "<=", "score law", form="sharp",
    assumptions=(UNBIASED, MOMENT), witness=_outlier, violated_by=_understated,
    constant=1.0,
)  # fmt: skip
def square_error(x: StatedLaw) -> tuple[float, float]:
    """(f(X) - f(mu))^2 <= (X - mu)^2. The left side is bias^2 + V loss_hat, so V bounds both at once."""
    return loss.mean_square_error(x), float(loss.variance_bound(x.variance))


@state(
    "bounded_variance", "ours", r"\mathbb{V} f(X) \le \sigma(-a)^2 V", "<=", "score law", form="sharp",
    assumptions=(BOUNDED, MOMENT), witness=lambda: two_point(1.0, 1.01), violated_by=_understated_range,
)  # fmt: skip
def bounded_variance(x: StatedLaw) -> tuple[float, float]:
    """On [a, infinity) f is sigmoid(-a)-Lipschitz; equality in the limit of laws that concentrate at a."""
    return loss.loss_variance(x), float(loss.bounded_variance_bound(x.lower, x.variance))


@state(
    "bounded_error", "ours", r"\mathbb{E}|f(X) - f(\mu)| \le \sigma(-a) \sqrt{V}", "<=", "score law", form="sharp",
    assumptions=(BOUNDED, UNBIASED), witness=lambda: two_point(1.0, 1.01), violated_by=_understated_range,
)  # fmt: skip
def bounded_error(x: StatedLaw) -> tuple[float, float]:
    """As `bounded_variance`: mu >= a too, so both f(X) and f(mu) are where f is sigmoid(-a)-Lipschitz."""
    return loss.mean_absolute_error(x), float(sigmoid(-x.lower)) * x.variance**0.5
