"""Numbers are on disk before anything is drawn, and no name and no setting of the user's breaks a picture."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from vrpo_theory import plotting
from vrpo_theory.reproduce import Context, report, runner
from vrpo_theory.reproduce.base import Cell, Exhibit

FIGURES = Path(__file__).parents[2] / "figures"
MODEL = {"model": "m", "n_t": 4, "n_yt": 1, "shared": True}


def draw(cells):
    figure, (ax,) = plotting.panels(1)
    plotting.dots(ax, {"m": {c["row"]: (c["value"], None) for c in cells}}, title="t", xlabel="x")
    return figure


def fail(*arguments, **options):
    raise ValueError("no such\nglyph")


SMALL = Exhibit("small", "Title", "ref", compute=lambda context: [Cell("r", MODEL, 0.25)], plot=draw)


def run(out, exhibit=SMALL, **options):
    return runner.run(exhibit, Context(), out, **options)


def endings(out):
    return {path.suffix for path in out.iterdir()}


def test_a_failed_picture_is_a_warning_and_is_tried_again(tmp_path, capsys):
    run(tmp_path, replace(SMALL, plot=fail))
    assert endings(tmp_path) == {".json", ".md", ".csv"}
    warnings = capsys.readouterr().err.splitlines()
    assert ["small.png" in warnings[0], "small.svg" in warnings[1]] == [True, True]
    assert all("no such glyph" in warning for warning in warnings)
    before = (tmp_path / "small.json").read_bytes()
    run(tmp_path)
    assert endings(tmp_path) == {".json", ".md", ".csv", ".png", ".svg"}
    assert "inputs unchanged" in capsys.readouterr().err
    assert (tmp_path / "small.json").read_bytes() == before


def test_a_picture_that_cannot_be_saved_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", fail)
    run(tmp_path)
    assert endings(tmp_path) == {".json", ".md", ".csv"}


def test_a_page_that_fails_leaves_the_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(runner.ILLUSTRATIONS, "md", fail)
    run(tmp_path)
    assert endings(tmp_path) == {".json", ".csv", ".png", ".svg"}
    assert "small.md" in capsys.readouterr().err


def test_nothing_old_stands_beside_new_numbers(tmp_path):
    run(tmp_path)
    run(tmp_path, replace(SMALL, compute=lambda context: [Cell("r", MODEL, 0.75)], plot=fail), fresh=True)
    assert endings(tmp_path) == {".json", ".md", ".csv"}
    assert "0.75" in (tmp_path / "small.md").read_text()


def test_numbers_are_there_when_drawing_begins_and_stay_when_it_is_interrupted(tmp_path):
    def interrupted(cells):
        assert json.loads((tmp_path / "small.json").read_text())["cells"] == cells
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, replace(SMALL, plot=interrupted))
    assert ".json" in endings(tmp_path)


def test_a_table_that_cannot_be_printed_ends_nothing(reproduce, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "print_tables", fail)
    result = reproduce(tmp_path)
    assert result.exit_code == 0
    assert "table of consistency" in result.stderr
    assert f"written: {tmp_path / 'consistency.json'}, .md, .csv, .png, .svg" in result.stderr


NAMES = {
    "step$1_vs_$2": "step$1_vs_$2",
    "_run7": "_run7",
    "x^2_{": "x^2_{",
    "$\\frac$": "$\\frac$",
    "[/b] :100: #": "[/b] :100: #",
    "数 Ж": "\\u6570 Ж",
    "\x1b[31mred": "\\x1b[31mred",
    "|`a`|\n": "|`a`|\\n",
    "\ud800": "\\ud800",
}
"""Names, and how they are drawn in a font that has Cyrillic letters and no Chinese ones."""


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_as_it_is(name):
    """Dollars, underscores and characters without a glyph: https://github.com/matplotlib/matplotlib/issues/17683."""
    figures = []

    def plot():
        figure, axes = plotting.panels(4)
        points = {name: (1.0, 0.5), "other": (2.0, None)}
        plotting.curves(axes[0], {name: ([1, 2], [1, None], [None, 0.5])}, title=name, xlabel="", ylabel="")
        plotting.grouped_dots(axes[1], {name: points}, title=name, ylabel="")
        plotting.dots(axes[2], {name: points}, title=name, xlabel="")
        plotting.strips(axes[3], {name: [1.0, -1.0], "other": []}, title=name, ylabel="")
        figures.append(figure)
        return figure

    assert plotting.png(plot).startswith(b"\x89PNG")
    assert "<svg" in plotting.svg(plot)
    axes = figures[0].axes
    found = [ax.get_title() for ax in axes] + [ax.get_legend().get_texts()[0].get_text() for ax in axes[:3]]
    found += [axes[k].get_xticklabels()[0].get_text() for k in (1, 3)] + [axes[2].get_yticklabels()[0].get_text()]
    assert set(found) == {NAMES[name]}


def test_markdown_escapes_names():
    cells = [Cell("r", {**MODEL, "model": name}, 0.5, note=f"of {name}").document() for name in NAMES]
    page = report.markdown(SMALL, {"cells": cells, "provenance": {}})
    lines = [line for line in page.encode().decode().split("\n") if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)
    assert "\\_run7" in page
    assert "\\|\\`a\\`\\|\\\\n" in page
    assert "step\\$1_vs\\_\\$2" in page


SETTINGS = [
    {"text.usetex": True},
    {"font.family": ["No Such Font"], "mathtext.fontset": "custom"},
    {"savefig.format": "pdf", "savefig.bbox": "tight", "savefig.dpi": 3},
    {"figure.figsize": (0.1, 0.1), "figure.constrained_layout.use": True, "figure.autolayout": False},
    {"axes.formatter.use_mathtext": True, "text.parse_math": False, "axes.unicode_minus": False},
    {"lines.linewidth": 40, "path.sketch": (10, 10, 10)},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: next(iter(s)))
def test_settings_of_the_user_change_nothing_and_stay(settings):
    """LaTeX asked for where there is none: https://github.com/garrettj403/SciencePlots/issues/37."""
    cells = [c.document() for c in SMALL.compute(Context())]
    expected = plotting.png(lambda: draw(cells))
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        assert plotting.png(lambda: draw(cells)) == expected
        assert dict(matplotlib.rcParams) == before


DRAWS = """
import json, sys
from vrpo_theory import EXHIBITS, plotting
cells = json.load(open(sys.argv[1]))["cells"]
assert plotting.png(lambda: EXHIBITS["consistency"].plot(cells)).startswith(b"\\x89PNG")
"""


@pytest.mark.parametrize(
    ("content", "environment"),
    [
        (b"text.usetex: True\nnot a setting at all\nbackend: nothing\n", {"MPLCONFIGDIR": "/proc/none"}),
        ("font.family: Caf\xe9\n".encode("latin-1"), {}),
        (b"", {"MPLBACKEND": "module://no.such.module"}),
        (b"", {"MPLBACKEND": "junk"}),
    ],
    ids=["usetex", "another encoding", "missing backend", "unknown backend"],
)
def test_settings_that_end_the_import_of_matplotlib_end_no_picture(tmp_path, content, environment):
    (tmp_path / "matplotlibrc").write_bytes(content)
    command = [sys.executable, "-c", DRAWS, str(FIGURES / "consistency.json")]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"value": math.nan}, ["value is nan"]),
        ({"value": np.float32("inf"), "stderr": -math.inf}, ["value is inf", "stderr is -inf"]),
        ({"interval": (0.5, math.inf)}, ["interval[1] is inf"]),
        ({"column": {"x": np.float64("nan"), "deep": [1, {"y": math.inf}]}},
         ["column.x is nan", "column.deep[1].y is inf"]),
        ({"predicted": math.nan, "paper": math.inf, "median": math.nan},
         ["median is nan", "predicted is nan", "paper is inf"]),
        ({"value": np.float64(1.0), "n": np.int64(3), "column": {"x": np.arange(2)}}, []),
    ],
)  # fmt: skip
def test_no_field_of_a_cell_is_infinite_or_of_numpy(fields, lost):
    cell = Cell(**{"row": "r", "column": MODEL, "value": 1.0, "note": "said", **fields}).document()
    assert json.loads(json.dumps(cell, allow_nan=False)) == cell
    assert cell["note"].split("; ") == ["said", *lost]
