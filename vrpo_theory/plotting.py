"""One function per kind of figure; numbers come in, a figure goes out, no global state.

Names are drawn as they are written: never as mathematics, never left out of a legend for a leading underscore.
"""

from __future__ import annotations

import io
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from vrpo_theory import tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    "#3b6ea8", "#d9822b", "#7a7a7a", "#4f9d69", "#a85a8c", "#b5a642", "#1b998b", "#c44536", "#6f4e37", "#8fb8de",
)  # fmt: skip
LONGEST = 40
"""Characters of a name that are drawn."""

ABOVE = 1.001
"""Ratios up to this are 1 apart from rounding."""

Number = float | None
Points = Mapping[str, tuple[Number, Number]]
"""A value and its standard error by name; None is not drawn."""
Line = tuple[Sequence[float], Sequence[Number]]


def panels(count: int, *, width: float = 5.4, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` axes, two a row, outside pyplot's global state."""
    from matplotlib.figure import Figure

    columns = min(count, 2) or 1
    rows = max(1, math.ceil(count / 2))
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[max(1, count) :]:
        ax.remove()
    if not count:
        _say_if_empty(axes[0])
    return figure, axes[:count]


def row_height(rows: int) -> float:
    """Height in inches of a panel that names so many rows."""
    return 2.0 + 0.24 * rows


def png(draw: Callable[[], Figure]) -> bytes:
    """A figure that is made and saved under matplotlib's own settings, whatever the user's are."""
    matplotlib = _matplotlib()
    settings = {k: v for k, v in matplotlib.rcParamsDefault.items() if not k.startswith("backend")}
    with matplotlib.rc_context(settings):
        buffer = io.BytesIO()
        draw().savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _matplotlib() -> Any:
    """The module, also where the user's settings would end its import."""
    try:
        import matplotlib
    except Exception:  # whatever a settings file or MPLBACKEND holds
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]  # half of it was imported
        with _without_settings():
            import matplotlib
    return matplotlib


@contextmanager
def _without_settings() -> Iterator[None]:
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"} | {"MATPLOTLIBRC": os.devnull}
    with tempfile.TemporaryDirectory() as empty, mock.patch.dict(os.environ, environment, clear=True), chdir(empty):
        yield


def grouped_dots(
    axes: Axes, series: Mapping[str, Points], *, title: str, ylabel: str, groups: Sequence[str] | None = None
) -> None:
    """Dots with error bars on a logarithmic axis: a group a tick, a colour a series; missing values leave a gap."""
    names = list(groups) if groups is not None else list(dict.fromkeys(n for points in series.values() for n in points))
    handles = []
    for k, (label, points) in enumerate(series.items()):
        at = [names.index(name) + _offset(k, len(series)) for name in points]
        values, errors = _columns(points)
        handles.append(axes.errorbar(at, values, yerr=errors, label=label, **_dot(k)))
    _finish(axes, title, "", ylabel)
    _scale(axes.yaxis, "log")
    _name_ticks(axes.xaxis, names, rotation=30, ha="right")
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)
    _legend(axes, handles, list(series))


def dots(
    axes: Axes, series: Mapping[str, Points], *, title: str, xlabel: str, xscale: str = "linear", **scale: Any
) -> None:
    """One named row a value, first on top, a colour a series, with error bars and a rule at 1."""
    names = list(dict.fromkeys(name for points in series.values() for name in points))
    handles = []
    for k, (label, points) in enumerate(series.items()):
        at = [names.index(name) + _offset(k, len(series)) for name in points]
        values, errors = _columns(points)
        handles.append(axes.errorbar(values, at, xerr=errors, label=label, **_dot(k)))
    _finish(axes, title, xlabel, "")
    axes.axvline(1.0, color=COLOURS[2], linewidth=1, zorder=0)
    _scale(axes.xaxis, xscale, **scale)
    _name_ticks(axes.yaxis, names)
    axes.set_ylim(max(len(names), 1) - 0.4, -0.6)
    axes.grid(axis="y", linewidth=0.3)
    _legend(axes, handles, list(series))


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
                axes.annotate(f"{x:.2g}", (x, y), (4, 0), textcoords="offset points", va="center", fontsize="small")


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
    """Lines with markers, each from its own x and y; missing values leave a gap."""
    handles = []
    for k, (label, (x, y)) in enumerate(series.items()):
        handles += axes.plot(x, _gaps(y), marker="o", markersize=4, label=label, color=COLOURS[k % len(COLOURS)])
    _finish(axes, title, xlabel, ylabel)
    _scale(axes.xaxis, xscale)
    _scale(axes.yaxis, yscale)
    _legend(axes, handles, list(series))


def histogram(axes: Axes, middle: Sequence[float], height: Sequence[Number], *, label: str) -> None:
    """Bars of equal width that touch, behind whatever else is drawn."""
    if middle:
        width = middle[1] - middle[0] if len(middle) > 1 else 1.0
        axes.bar(middle, _gaps(height), width, label=label, color="#d5d5d5", zorder=0)


def strips(axes: Axes, groups: Mapping[str, Sequence[Number]], *, title: str, ylabel: str) -> None:
    """A tick a group, a point a value, signed, on an axis that is linear near zero and logarithmic beyond."""
    axes.set_yscale("symlog", linthresh=1e-3)  # before the points, so that the limits fit them
    for k, values in enumerate(groups.values()):
        axes.plot([k] * len(values), _gaps(values), "o", markersize=4, alpha=0.7, color=COLOURS[k % len(COLOURS)])
    _finish(axes, title, "", ylabel)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set_xlim(-0.5, max(len(groups), 1) - 0.5)
    _name_ticks(axes.xaxis, list(groups), rotation=30, ha="right")


def _columns(points: Points) -> tuple[list[float], list[float]]:
    return _gaps([value for value, _ in points.values()]), _gaps([error for _, error in points.values()])


def _gaps(values: Sequence[Number]) -> list[float]:
    return [math.nan if v is None else v for v in values]


def _dot(k: int) -> dict[str, Any]:
    return {"fmt": "o", "markersize": 4, "capsize": 2, "elinewidth": 1, "color": COLOURS[k % len(COLOURS)]}


def _offset(k: int, count: int) -> float:
    """Beside each other, so that equal values do not hide one another."""
    return 0.6 * ((k + 0.5) / count - 0.5)


def _drawn(axes: Axes, axis: str) -> list[float]:
    """Finite values that lines and bars show along an axis; the ends of error bars are none."""
    containers: list[Any] = list(axes.containers)
    ends = {end for c in containers if hasattr(c, "has_yerr") for end in c.lines[1]}
    arrays: list[Any] = [
        line.get_xdata() if axis == "x" else line.get_ydata() for line in axes.lines if line not in ends
    ]
    if axis == "y":
        arrays.append([bar.get_height() for bar in axes.patches])  # type: ignore[attr-defined]
    return [float(v) for values in arrays for v in values if math.isfinite(v)]


def _say_if_empty(axes: Axes) -> None:
    if not _drawn(axes, "y") or not _drawn(axes, "x"):
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", va="center")


def _scale(axis: Any, name: str, **options: Any) -> None:
    """Set a scale that shows every value: logarithmic, but linear around zero where values are not positive."""
    values = _drawn(axis.axes, axis.axis_name)
    if name == "log" and min(values, default=1.0) <= 0:
        name, options = "symlog", {"linthresh": min((abs(v) for v in values if v), default=1.0)}
    getattr(axis.axes, f"set_{axis.axis_name}scale")(name, **options)
    if name == "log":
        _thin_labels(axis, values)


def _thin_labels(axis: Any, values: Sequence[float]) -> None:
    """Labels of a logarithmic axis that do not overprint: decades, or 1, 2, 5 where there are few of them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_minor_formatter(NullFormatter())
    if values and max(values) < 100 * min(values):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _finish(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_title(_plain(title), parse_math=False)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    _say_if_empty(axes)


def _name_ticks(axis: Any, names: Sequence[str], **style: Any) -> None:
    axis.set_ticks(range(len(names)), [_plain(name) for name in names], fontsize="small", parse_math=False, **style)


def _legend(axes: Axes, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Between the title and the axes, never over data."""
    bars = [c for c in axes.containers if c not in handles and not str(c.get_label() or "_").startswith("_")]
    handles, names = [*bars, *handles], [*(str(c.get_label()) for c in bars), *names]
    if not handles:
        return
    names = [_plain(name) for name in names]
    columns = 2 if max(map(len, names)) <= LONGEST // 2 else 1
    legend = axes.legend(
        handles, [str(k) for k in range(len(names))], fontsize="small", frameon=False, ncols=columns,
        loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):  # as label, a name from "_" on would be left out
        text.set(text=name, parse_math=False)
    axes.set_title(axes.get_title(), pad=8 + 13 * math.ceil(len(names) / columns), parse_math=False)


def _plain(text: str) -> str:
    """A name as it can be drawn: what the font lacks as an escape, long ones shortened."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()  # ships with matplotlib
    drawable = (c if ord(c) in known else c.encode("unicode_escape").decode() for c in tables.visible(text))
    return tables.shortened("".join(drawable), LONGEST)
