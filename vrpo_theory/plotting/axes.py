"""What all kinds of figures do with their axes: scales, names of ticks, legends, empty panels.

Names are drawn as they are written: never as mathematics, never left out of a legend for a leading underscore.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7a7a7a", "#5e3c99", "#8c6d31",
)  # fmt: skip
"""Okabe and Ito's, which colour-blind readers tell apart, then four more; markers differ as well."""
MARKERS = "osD^vP*Xhp"
GREY = "#7a7a7a"
TITLE, LABEL, SMALL = 9, 8, 7
"""Sizes of text in points: a panel is a column of 3.5 inches wide."""
LONGEST = 40
"""Characters of a name that are drawn."""

Number = float | None
Points = Mapping[str, tuple[Number, Number]]
"""A value and its standard error by name; None is not drawn."""
Line = tuple[Sequence[Number], Sequence[Number], Sequence[Number]]
"""Places, values and their standard errors."""


def columns_of(points: Points) -> tuple[list[float], list[float]]:
    """Values and errors, NaN where there is none."""
    return gaps([value for value, _ in points.values()]), gaps([error for _, error in points.values()])


def gaps(values: Sequence[Number]) -> list[float]:
    """NaN, which is not drawn, in place of None."""
    return [math.nan if v is None else v for v in values]


def dot(k: int, *, hollow: bool = False) -> dict[str, Any]:
    """Style of the k-th series; numbers that are not ours are hollow."""
    style = {"fmt": MARKERS[k % len(MARKERS)], "markersize": 4, "capsize": 2, "elinewidth": 1}
    return style | {"color": COLOURS[k % len(COLOURS)]} | ({"mfc": "none"} if hollow else {})


def offset(k: int, count: int) -> float:
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


def say_if_empty(axes: Axes) -> None:
    """Say so in words where nothing can be drawn."""
    if not _drawn(axes, "y") or not _drawn(axes, "x"):
        axes.text(0.5, 0.5, "nothing to draw", transform=axes.transAxes, ha="center", va="center", fontsize=LABEL)


def set_scale(axis: Any, name: str, **options: Any) -> None:
    """Set a scale that shows every value: logarithmic, but linear around zero where values are not positive."""
    values = _drawn(axis.axes, axis.axis_name)
    if name == "log" and min(values, default=1.0) <= 0:
        name, options = "symlog", {"linthresh": min((abs(v) for v in values if v), default=1.0)}
    getattr(axis.axes, f"set_{axis.axis_name}scale")(name, **options)
    if name == "log":
        _thin_labels(axis, values)


def _thin_labels(axis: Axis, values: Sequence[float]) -> None:
    """Labels of a logarithmic axis that do not overprint: decades, or 1, 2, 5 where there are few of them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_minor_formatter(NullFormatter())
    if values and max(values) < 100 * min(values):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def finish(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Title and labels."""
    axes.set_title(_plain(title), fontsize=TITLE, parse_math=False)
    axes.set_xlabel(xlabel, fontsize=LABEL)
    axes.set_ylabel(ylabel, fontsize=LABEL)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    say_if_empty(axes)


def name_ticks(axis: Axis, names: Sequence[str], **style: Any) -> None:
    """A tick for every name."""
    axis.set_ticks(range(len(names)), [_plain(name) for name in names], fontsize=SMALL, parse_math=False, **style)


def add_legend(axes: Axes, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Between the title and the axes, never over data."""
    bars = [c for c in axes.containers if c not in handles and not str(c.get_label() or "_").startswith("_")]
    handles, names = [*bars, *handles], [*(str(c.get_label()) for c in bars), *names]
    if not handles:
        return
    names = [_plain(name) for name in names]
    columns = 2 if max(map(len, names)) <= LONGEST // 2 else 1
    legend = axes.legend(
        handles, [str(k) for k in range(len(names))], fontsize=SMALL, frameon=False, ncols=columns,
        loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1,
    )  # fmt: skip
    for text, name in zip(legend.get_texts(), names, strict=True):  # as label, a name from "_" on would be left out
        text.set(text=name, parse_math=False)
    axes.set_title(axes.get_title(), fontsize=TITLE, pad=6 + 11 * math.ceil(len(names) / columns), parse_math=False)


def _plain(text: str) -> str:
    """A name as it can be drawn: what the font lacks as an escape, long ones shortened."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()  # ships with matplotlib
    drawable = (c if ord(c) in known else c.encode("unicode_escape").decode() for c in tables.visible(text))
    return tables.shortened("".join(drawable), LONGEST)
