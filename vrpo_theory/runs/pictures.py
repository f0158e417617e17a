"""Pictures of an own run, from its JSON document: pairs, plans, audits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.documents import Fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 40
"""Rows of a forest plot; the table has the others."""
SPANS = (0.25, 0.5, 1, 2, 4)
"""Budgets at which VRPO's variance is drawn, over the plan's: it falls like 1/n."""


def of_scores(document: Fields) -> Figure:
    """Scores with standard errors, a row per pair."""
    pairs = document["pairs"]
    names = _apart([str(p["id"] or k) for k, p in enumerate(pairs[:MOST], 1)])
    points = {name: (p["score"], p["stderr"]) for name, p in zip(names, pairs, strict=False)}
    return _forest({"score": points}, len(pairs), "score of each pair", "nats; right of 0: as preferred")


def of_audit(document: Fields) -> Figure:
    """Bias of the estimator with standard errors, a row per cell."""
    cells = [c for c in document["cells"] if c["bias"] is not None]
    names = _apart([f"{c['toy']}, {c['length']} tokens, {c['n']} masks" for c in cells[:MOST]])
    points = {name: (_per_token(c, "bias"), _per_token(c, "stderr")) for name, c in zip(names, cells, strict=False)}
    return _forest({"bias": points}, len(cells), "bias of the estimator", "nats per token")


def of_plan(document: Fields) -> Figure:
    """Variance of the score against the budget, with the recommendation and its double marked."""
    figure, (ax,) = plotting.panels(1)
    vrpo, best, double = (document[key] for key in ("vrpo", "recommended", "doubled"))
    cost = document["cost"]
    series: dict[str, plotting.Line] = {
        "VRPO's choice, 1/n": ([cost * k for k in SPANS], [vrpo["var_score"] / k for k in SPANS], [None] * len(SPANS)),
        "recommended, and at twice the cost": (
            [cost, 2 * cost], [best["var_score"], double["var_score"]], [best["stderr"], double["stderr"]]
        ),
    }  # fmt: skip
    plotting.curves(
        ax, series, title="what a budget buys", xlabel="forward passes per response and model",
        ylabel="variance of the score, nats^2",
    )  # fmt: skip
    plotting.doublings(ax)
    return figure


def _per_token(cell: Fields, key: str) -> float | None:
    return None if cell[key] is None else cell[key] / cell["length"]


def _apart(names: Sequence[str]) -> list[str]:
    """The names, numbered where some are equal."""
    return list(names) if len(set(names)) == len(names) else [f"{k}: {name}" for k, name in enumerate(names, 1)]


def _forest(series: Mapping[str, plotting.Points], count: int, title: str, xlabel: str) -> Figure:
    rows = max(map(len, series.values()))
    title += f": first {rows} of {count}" if rows < count else ""
    figure, (ax,) = plotting.panels(1, width=5.0, height=plotting.row_height(rows))
    plotting.dots(ax, series, title=title, xlabel=xlabel, rule=0.0)
    return figure


KINDS: dict[str, Callable[[Fields], Figure]] = {"pairs": of_scores, "ranking": of_plan, "findings": of_audit}


def of(document: Fields) -> Figure:
    """The picture of a result, by what it holds."""
    return next(draw(document) for key, draw in KINDS.items() if key in document)
