"""Does the printed ablation obey Lemma 5? Two components must explain every shared column of its score variances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.series import lines, points, printed
from vrpo_theory.statements import lemma5
from vrpo_theory.types import Budget, Moments

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT_OUT = Budget(1, 1)
"""The column whose printed variance the others are asked to predict."""
FIT = {"fit": "without 1x1"}
PAPER = "printed"
CERTAIN = 3.0
"""Root mean square residuals of the fit beyond which the column left out is reported to differ."""
ERROR = 0.05
KURTOSES, VARIATIONS = (3, 6, 12, 24, 48), (0, 1, 2)


def compute(context: Context) -> list[Cell]:
    """The fit, what it says of every column, and how many repeats would settle it."""
    printed = _printed()
    fitted = {budget: v for budget, v in printed.items() if budget != LEFT_OUT}
    moments = fit(fitted)
    rms = float(np.sqrt(np.mean([_residual(moments, b, v) ** 2 for b, v in fitted.items()])))
    components = {"v_time": (moments.v_time, "nats^2"), "v_mask": (moments.v_mask, "nats^2"), "rms_residual": (rms, "")}
    cells = [Cell(row, FIT, value, unit=unit) for row, (value, unit) in components.items()]
    cells += [cell for budget, v in printed.items() for cell in _column(moments, budget, v, rms)]
    return cells + list(_repeats())


def _printed() -> dict[Budget, float]:
    """Printed score variances of the columns that share masks."""
    table = tables()["table2_ablation"]
    columns = zip(table["configurations"], table["rows"]["var_score"], strict=True)
    return {Budget(c["n_t"], c["n_yt"]): v for c, v in columns if c["shared"]}


def fit(variances: Mapping[Budget, float]) -> Moments:
    """V_t and V_yt of the score, positive, that fit variances best in least squares of their logarithms.

    Logarithms, because a variance measured on heavy-tailed pairs errs by a factor, as often down as up.
    """
    from scipy.optimize import least_squares

    def residuals(log_components: NDArray[np.float64]) -> list[float]:
        moments = Moments(math.nan, *np.exp(log_components).tolist())
        return [_residual(moments, budget, v) for budget, v in variances.items()]

    typical = math.log(max(variances.values()))
    found = least_squares(residuals, [typical, typical], xtol=1e-12, ftol=1e-12, gtol=1e-12)
    return Moments(math.nan, *np.exp(found.x).tolist())


def _residual(moments: Moments, budget: Budget, printed: float) -> float:
    return math.log(lemma5.variance(moments, budget) / printed)


def _column(moments: Moments, budget: Budget, printed: float, rms: float) -> Iterator[Cell]:
    column = {"n_t": budget.n_t, "n_yt": budget.n_yt, "shared": True}
    fitted, residual = lemma5.variance(moments, budget), _residual(moments, budget, printed)
    if budget == LEFT_OUT:
        verdict = "differs" if abs(residual) > CERTAIN * rms else "agrees"
        note = f"left out of the fit: printed {printed / fitted:.1f} times what the other columns imply"
        yield Cell("var_score", column, fitted, unit="nats^2", paper=printed, verdict=verdict, note=note)
    else:
        yield Cell("var_score", column, fitted, unit="nats^2", paper=printed)
    yield Cell("log_residual", column, residual)
    if budget.n_yt == 1:
        note = "n_t V(n_t, 1) = V_t + V_yt, the same in every such column"
        yield Cell("n_t_var_score", column, budget.n_t * fitted, unit="nats^2", paper=budget.n_t * printed, note=note)


def _repeats() -> Iterator[Cell]:
    protocol = tables()["variance_protocol"]
    for variation in VARIATIONS:
        for kurtosis in KURTOSES:
            value = lemma5.repeats_needed(ERROR, protocol["pairs"], variation, kurtosis)
            note = (
                f"repeats per pair for {ERROR:.0%} error of a variance averaged over {protocol['pairs']} pairs; "
                "columns: kurtosis of one estimate, coefficient of variation of its variance over pairs"
            )
            column = {"kurtosis": kurtosis, "variation": variation}
            yield Cell("repeats_needed", column, value, n_pairs=protocol["pairs"], paper=protocol["repeats"], note=note)


def plot(cells: Cells) -> Figure:
    """Printed variances beside the fit; repeats needed beside those made."""
    figure, (variances, repeats) = plotting.panels(2)
    part = [c for c in cells if c["row"] == "var_score"]
    series = {PAPER: printed(part)} | points(part, lambda column: "Lemma 5, fitted without 1x1")
    plotting.grouped_dots(variances, series, title="variance of the score", ylabel="nats^2", hollow=[PAPER])
    needed = [c for c in cells if c["row"] == "repeats_needed"]
    found = lines(needed, lambda column: f"variation over pairs {column['variation']:g}", "kurtosis")
    made = {c["column"]["kurtosis"]: c["paper"] for c in needed}
    found["made"] = list(made), list(made.values()), [None] * len(made)
    plotting.curves(
        repeats,
        found,
        title="repeats for 5% error",
        xlabel="kurtosis of one estimate",
        ylabel="repeats",
        xscale="linear",
    )
    return figure


exhibit(
    Exhibit(
        name="consistency",
        title="The printed score variances against Lemma 5",
        paper_ref="2505.19223v2, Table 2 (the ablation) and Lemma 5",
        compute=compute,
        plot=plot,
    )
)
