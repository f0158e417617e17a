"""One function per kind of figure; numbers come in, a figure goes out, no global state."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory.plotting.axes import (
    COLOURS,
    GREY,
    MARKERS,
    SMALL,
    Line,
    Number,
    Points,
    add_legend,
    columns_of,
    dot,
    finish,
    gaps,
    name_ticks,
    offset,
    say_if_empty,
    set_scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ABOVE = 1.001
"""Ratios up to this are 1 apart from rounding."""


def panels(count: int, *, width: float = 3.5, height: float = 3.0, most: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes, ``most`` per row, outside pyplot's global state."""
    from matplotlib.figure import Figure

    columns = min(count, most) or 1
    rows = max(1, math.ceil(count / columns))
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[max(1, count) :]:
        ax.remove()
    if not count:
        say_if_empty(axes[0])
    return figure, axes[:count]


def row_height(rows: int) -> float:
    """Height in inches of a panel with ``rows`` named rows."""
    return 1.4 + 0.19 * rows


def grouped_dots(
    axes: Axes,
    series: Mapping[str, Points],
    *,
    title: str,
    ylabel: str,
    hollow: Collection[str] = (),
    yscale: str = "log",
) -> None:
    """Dots with error bars: one tick per group, one colour per series; missing values leave a gap.

    Series in ``hollow``, such as the paper's, are hollow marks.
    """
    names = list(dict.fromkeys(n for points in series.values() for n in points))
    handles = []
    for k, (label, points) in enumerate(series.items()):
        at = [names.index(name) + offset(k, len(series)) for name in points]
        values, errors = columns_of(points)
        handles.append(axes.errorbar(at, values, yerr=errors, label=label, **dot(k, hollow=label in hollow)))
    finish(axes, title, "", ylabel)
    set_scale(axes.yaxis, yscale)
    name_ticks(axes.xaxis, names, rotation=30, ha="right")
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)
    add_legend(axes, handles, list(series))


def dots(
    axes: Axes,
    series: Mapping[str, Points],
    *,
    title: str,
    xlabel: str,
    rule: float = 1.0,
    xscale: str = "linear",
    **scale: Any,
) -> None:
    """One named row per value, first on top, one colour per series, with error bars and a rule."""
    names = list(dict.fromkeys(name for points in series.values() for name in points))
    handles = []
    for k, (label, points) in enumerate(series.items()):
        at = [names.index(name) + offset(k, len(series)) for name in points]
        values, errors = columns_of(points)
        handles.append(axes.errorbar(values, at, xerr=errors, label=label, **dot(k)))
    finish(axes, title, xlabel, "")
    axes.axvline(rule, color=GREY, linewidth=1, zorder=0)
    set_scale(axes.xaxis, xscale, **scale)
    axes.autoscale(axis="x")
    name_ticks(axes.yaxis, names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.grid(axis="y", linewidth=0.3)
    add_legend(axes, handles, list(series))


def dots_about_one(axes: Axes, series: Mapping[str, Points], *, title: str, xlabel: str) -> None:
    """Rows as `dots` draws them, linear up to 1 and by decades beyond, where each value is written beside its dot."""
    largest = max((v for points in series.values() for v, _ in points.values() if v is not None), default=1.0)
    decades = max(1.0, math.log10(max(largest, 1.0)))
    dots(axes, series, title=title, xlabel=xlabel, xscale="symlog", linthresh=1.0, linscale=decades)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_xlim(-0.05, 10 ** (1.25 * decades))
    for container in axes.containers:
        for x, y in container[0].get_xydata():
            if x > ABOVE:
                axes.annotate(f"{x:.2g}", (x, y), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)


def curves(
    axes: Axes,
    series: Mapping[str, Line],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    xscale: str = "log",
    yscale: str = "log",
) -> None:
    """Lines with markers and error bars, each from its own x and y; missing values leave a gap."""
    handles = []
    for k, (label, (x, y, errors)) in enumerate(series.items()):
        style = dot(k) | {"fmt": f"{MARKERS[k % len(MARKERS)]}-", "linewidth": 1.2}
        handles.append(axes.errorbar(gaps(x), gaps(y), yerr=gaps(errors), label=label, **style))
    finish(axes, title, xlabel, ylabel)
    set_scale(axes.xaxis, xscale)
    set_scale(axes.yaxis, yscale)
    axes.autoscale()
    add_legend(axes, handles, list(series))


def doublings(axes: Axes) -> None:
    """Let x double from tick to tick, and write the numbers out."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")


def histogram(axes: Axes, middle: Sequence[Number], height: Sequence[Number], *, label: str) -> None:
    """Bars of equal width that touch, behind whatever else is drawn."""
    if middle:
        place = gaps(middle)
        width = place[1] - place[0] if len(place) > 1 else 1.0
        axes.bar(place, gaps(height), width, label=label, color="#d5d5d5", zorder=0)


def strips(axes: Axes, groups: Mapping[str, Sequence[Number]], *, title: str, ylabel: str) -> None:
    """One tick per group, one point per value, signed, on an axis that is linear near zero and logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=1e-3)  # before the points, so that the limits fit them
    for k, values in enumerate(groups.values()):
        axes.plot([k] * len(values), gaps(values), "o", markersize=4, alpha=0.7, color=COLOURS[k % len(COLOURS)])
    finish(axes, title, "", ylabel)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_xlim(-0.5, max(len(groups), 1) - 0.5)
    name_ticks(axes.xaxis, list(groups), rotation=30, ha="right")
