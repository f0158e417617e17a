"""Figures: numbers come in, a figure goes out, no global state."""

from vrpo_theory.plotting.axes import COLOURS, LONGEST, Line, Number, Points
from vrpo_theory.plotting.kinds import (
    curves,
    dots,
    dots_about_one,
    doublings,
    grouped_dots,
    histogram,
    panels,
    row_height,
    strips,
)
from vrpo_theory.plotting.saving import png, svg

__all__ = [
    "COLOURS",
    "LONGEST",
    "Line",
    "Number",
    "Points",
    "curves",
    "dots",
    "dots_about_one",
    "doublings",
    "grouped_dots",
    "histogram",
    "panels",
    "png",
    "row_height",
    "strips",
    "svg",
]
