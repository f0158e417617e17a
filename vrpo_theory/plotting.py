"""One function per kind of figure; numbers come in, a figure goes out, no global state (layer 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#3b6ea8", "#d9822b", "#7a7a7a", "#4f9d69", "#a85a8c", "#b5a642")


def panels(count: int, *, width: float = 4.6, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes side by side, outside pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def grouped_bars(
    axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float | None]], *, title: str, ylabel: str
) -> None:
    """Bars on a logarithmic axis: a group a tick, a colour a series; missing values leave a gap."""
    width = 0.8 / len(series)
    for k, (label, values) in enumerate(series.items()):
        at = [i + (k - (len(series) - 1) / 2) * width for i in range(len(groups))]
        heights = [float("nan") if v is None else v for v in values]
        axes.bar(at, heights, width, label=label, color=COLOURS[k % len(COLOURS)])
    axes.set(yscale="log", title=title, ylabel=ylabel)
    axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
    axes.legend(fontsize="small")


def curves(
    axes: Axes,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    xscale: str = "log",
    yscale: str = "log",
) -> None:
    """Lines with markers, each from its own x and y."""
    for k, (label, (x, y)) in enumerate(series.items()):
        axes.plot(x, y, marker="o", markersize=4, label=label, color=COLOURS[k % len(COLOURS)])
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    axes.legend(fontsize="small")


def dots(axes: Axes, series: Mapping[str, Mapping[str, float]], *, title: str, xlabel: str) -> None:
    """One named line a value, a colour a series, with a rule at 1."""
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    for k, (label, values) in enumerate(series.items()):
        places = [names.index(name) for name in values]
        axes.plot(list(values.values()), places, "o", label=label, color=COLOURS[k % len(COLOURS)])
    axes.axvline(1.0, color=COLOURS[2], linewidth=1)
    axes.set(title=title, xlabel=xlabel)
    axes.set_yticks(range(len(names)), names, fontsize="x-small")
    if series:
        axes.legend(fontsize="small")


def histogram(axes: Axes, middle: Sequence[float], height: Sequence[float], *, label: str) -> None:
    """Bars of equal width that touch, behind whatever else is drawn."""
    axes.bar(middle, height, middle[1] - middle[0], label=label, color="#d5d5d5", zorder=0)


def strips(axes: Axes, groups: Mapping[str, Sequence[float]], *, title: str, ylabel: str) -> None:
    """A tick a group, a point a value, signed, on an axis that is linear near zero and logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=1e-3)  # before the points, so that the limits fit them
    axes.axhline(0.0, color="black", linewidth=0.6)
    for k, values in enumerate(groups.values()):
        axes.plot([k] * len(values), values, "o", markersize=4, alpha=0.7, color=COLOURS[k % len(COLOURS)])
    axes.set(title=title, ylabel=ylabel, xlim=(-0.5, len(groups) - 0.5))
    axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
