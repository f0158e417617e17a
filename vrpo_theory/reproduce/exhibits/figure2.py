"""What noise in the score does to the log-sigmoid: X ~ N(0, sigma^2), by 1000 points and by quadrature."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.instances import gaussian
from vrpo_theory.numerics import log_sigmoid, mean_estimate, variance_estimate
from vrpo_theory.randomness import Address, content_key
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.options import Repeated
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.words import in_words
from vrpo_theory.statements import loss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 1000
VARIANCES = tuple(k / 10 for k in range(1, 11))
EDGES = np.linspace(-4, 4, 33)
BOUNDS = {
    "bias": {"bias_bound_printed": loss.mean_absolute_error_bound, "bias_bound": loss.uniform_bias_bound},
    "variance": {"variance_bound_printed": loss.printed_variance_bound, "variance_bound": loss.variance_bound},
}
"""The printed and the sharp bound of each measured row."""
UNITS = {"bias": "nats", "variance": "nats^2"}


def compute(context: Context) -> list[Cell]:
    """Panel (a) at sigma^2 = 1, then panel (b): measured, exact, and what bounds them."""
    points = context.own.repeats or POINTS
    samples = {v: draw(context.seed, v, points) for v in VARIANCES}
    return [*_curves(samples[1.0]), *(cell for v, x in samples.items() for cell in _moments(v, x))]


def draw(seed: int, variance: float, points: int) -> NDArray[np.float64]:
    """Normal draws of mean 0 at an address of their own, (points,)."""
    from scipy.special import ndtri

    uniforms = Address(seed, f"figure2({variance!r})", points, 1, content_key()).uniforms().level(points)
    normal: NDArray[np.float64] = ndtri(np.maximum(uniforms, 2.0**-54))  # the quantile at 0 is infinite
    return normal * math.sqrt(variance)


def _curves(sample: NDArray[np.float64]) -> Iterator[Cell]:
    """Density and histogram of X and the log-sigmoid, at the middle of every bin."""
    from scipy.stats import norm

    width = EDGES[1] - EDGES[0]
    share = np.histogram(sample, EDGES)[0] / len(sample)
    error = np.sqrt(share * (1 - share) / len(sample)) / width
    expected = np.diff(norm.cdf(EDGES)) / width
    for k, x in enumerate(((EDGES[1:] + EDGES[:-1]) / 2).tolist()):
        yield Cell("density", {"x": x}, float(norm.pdf(x)))
        yield Cell(
            "histogram", {"x": x}, float(share[k] / width), float(error[k]),
            n=len(sample), method="mc", predicted=float(expected[k]),
        )  # fmt: skip
        yield Cell("log_sigmoid", {"x": x}, float(log_sigmoid(x)), unit="nats")


def _moments(variance: float, sample: NDArray[np.float64]) -> Iterator[Cell]:
    """|mean f(X) - f(0)| and var f(X), their exact values, and the bounds."""
    image, law = log_sigmoid(sample), gaussian(0.0, variance)
    shift = mean_estimate(image - log_sigmoid(0.0))
    measured = {"bias": replace(shift, value=abs(shift.value)), "variance": variance_estimate(image)}
    exact = {"bias": loss.bias(law), "variance": loss.loss_variance(law)}
    for row, estimate in measured.items():
        cell = partial(Cell, column={"sigma2": variance}, unit=UNITS[row])
        yield cell(
            row, value=estimate.value, stderr=estimate.stderr, df=estimate.df, n=len(sample), method="mc",
            predicted=exact[row],
            note="" if row == "variance" else "|mean f(X) - f(0)|: the bias, not the mean absolute error",
        )  # fmt: skip
        yield cell(row, value=exact[row], note="by Gauss-Hermite quadrature")
        for name, bound in BOUNDS[row].items():
            yield cell(name, value=float(bound(variance)))


def plot(cells: Cells) -> Figure:
    """Panel (a), and panel (b) as one panel per row, bounds included."""
    figure, (shapes, *moments) = plotting.panels(3)
    (middle, heights, _), *_ = _lines(cells, "histogram", "x").values() or [([], [], [])]
    plotting.histogram(shapes, middle, heights, label="draws")
    series = _lines(cells, "density", "x") | _lines(cells, "log_sigmoid", "x")
    plotting.curves(
        shapes, series, title="(a) variance 1", xlabel="score, nats", ylabel="", xscale="linear", yscale="linear"
    )
    for ax, row in zip(moments, BOUNDS, strict=True):
        series = _lines(cells, row, "sigma2")
        for name in BOUNDS[row]:
            series |= _lines(cells, name, "sigma2")
        plotting.curves(
            ax,
            series,
            title=f"(b) {in_words(row)}",
            xlabel="variance of the score, nats^2",
            ylabel=UNITS[row],
            xscale="linear",
        )
    return figure


def _lines(cells: Cells, row: str, variable: str) -> dict[str, plotting.Line]:
    return lines([c for c in cells if c["row"] == row], lambda column: in_words(row), variable)


exhibit(
    Exhibit(
        name="figure2",
        title="Bias and variance of log sigmoid(X), X ~ N(0, sigma^2)",
        paper_ref="2505.19223v2, Figure 2",
        compute=compute,
        plot=plot,
        options=Repeated,
    )
)
