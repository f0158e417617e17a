"""Figure 2: quadrature against direct integration, points against quadrature, bounds above both, lines drawn."""

import math

import numpy as np
import pytest
from scipy import integrate

from vrpo_theory import EXHIBITS
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.figure2 import POINTS, VARIANCES, draw

EXHIBIT = EXHIBITS["figure2"]
BOUNDS = {"printed": "_printed", "sharp": ""}


@pytest.fixture(scope="module")
def cells():
    return EXHIBIT.documents(Context())


def select(cells, row, method="exact"):
    return {c["column"]["sigma2"]: c for c in cells if c["row"] == row and c["method"] == method}


def integral(function, variance):
    """E function(X), adaptively, on twelve standard deviations either side."""
    sd = math.sqrt(variance)

    def integrand(x):
        return function(x) * math.exp(-x * x / (2 * variance)) / (sd * math.sqrt(2 * math.pi))

    return integrate.quad(integrand, -12 * sd, 12 * sd, epsabs=1e-13, limit=200)[0]


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


@pytest.mark.parametrize("variance", VARIANCES)
def test_exact_rows_against_direct_integration(cells, variance):
    mean = integral(log_sigmoid, variance)
    spread = integral(lambda x: (log_sigmoid(x) - mean) ** 2, variance)
    assert select(cells, "bias")[variance]["value"] == pytest.approx(log_sigmoid(0) - mean, abs=1e-12)
    assert select(cells, "variance")[variance]["value"] == pytest.approx(spread, abs=1e-12)


def test_measured_rows_are_what_the_points_say(cells):
    for variance in VARIANCES:
        image = [log_sigmoid(x) for x in draw(0, variance, POINTS)]
        assert select(cells, "bias", "mc")[variance]["value"] == pytest.approx(abs(np.mean(image) - log_sigmoid(0)))
        assert select(cells, "variance", "mc")[variance]["value"] == pytest.approx(np.var(image, ddof=1))


@pytest.mark.statistical(rate=1e-9, detects="draws of another variance (sigma for sigma^2) or a bias off by half")
def test_measured_rows_agree_with_the_exact_ones():
    """Twenty comparisons at seven standard errors, with points enough for the normal approximation."""
    cells = EXHIBIT.documents(Context(), repeats=200_000)
    for row in ("bias", "variance"):
        for variance, cell in select(cells, row, "mc").items():
            assert cell["predicted"] == select(cells, row)[variance]["value"]
            assert abs(cell["value"] - cell["predicted"]) < 7 * cell["stderr"] < 0.7 * cell["predicted"]


def test_bounds_hold_and_only_the_sharp_bias_bound_is_close(cells):
    for row in ("bias", "variance"):
        for variance, cell in select(cells, row).items():
            sharp, printed = (
                select(cells, name)[variance]["value"] for name in (f"{row}_bound", f"{row}_bound_printed")
            )
            assert cell["value"] < sharp < printed
    for variance, cell in select(cells, "bias").items():
        assert select(cells, "bias_bound")[variance]["value"] == pytest.approx(math.log(math.cosh(variance**0.5 / 2)))
        assert select(cells, "bias_bound")[variance]["value"] < 1.1 * cell["value"]


def test_histogram_is_the_share_of_the_points(cells):
    x = draw(0, 1.0, POINTS)
    for c in cells:
        if c["row"] == "histogram":
            low, high = c["column"]["x"] - 0.125, c["column"]["x"] + 0.125
            assert c["value"] == pytest.approx(((x >= low) & (x < high)).mean() / 0.25)
            assert c["predicted"] == pytest.approx((math.erf(high / 2**0.5) - math.erf(low / 2**0.5)) / 2 / 0.25)


def test_other_seeds_draw_other_points():
    assert not np.intersect1d(draw(0, 1.0, 100), draw(1, 1.0, 100)).size
    assert not np.intersect1d(draw(0, 1.0, 100), draw(0, 0.9, 100) / 0.9**0.5).size


def test_lines_and_bars_are_the_cells(cells, drawn, tmp_path):
    figure = EXHIBIT.plot(cells)
    shapes, bias, variance = figure.axes
    heights = [bar.get_height() for bar in shapes.containers[0]]
    assert heights == [c["value"] for c in cells if c["row"] == "histogram"]
    for ax, row in ((bias, "bias"), (variance, "variance")):
        expected = {f"{row} of the loss, {m}": select(cells, row, m) for m in ("mc", "exact")}
        expected |= {f"{name} bound": select(cells, f"{row}_bound{end}") for name, end in BOUNDS.items()}
        assert drawn(ax) == {label: [[v, c["value"]] for v, c in part.items()] for label, part in expected.items()}
    for row, label in (("density", "normal density"), ("log_sigmoid", "log sigmoid")):
        assert drawn(shapes)[label] == [[c["column"]["x"], c["value"]] for c in cells if c["row"] == row]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
