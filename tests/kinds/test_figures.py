"""Figures draw every value that the cells have, whatever method gave it, and leave gaps for missing ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from vrpo_theory import EXHIBITS, plotting
from vrpo_theory.reproduce.exhibits.figure1 import BARS
from vrpo_theory.reproduce.exhibits.training_noise import PANELS

FIGURES = Path(__file__).parents[2] / "figures"
TINY = Path(__import__("vrpo_theory").__file__).parent / "models" / "llada" / "tiny"


def has(*rows):
    return lambda c: c["row"] in rows


def of_one_pair(c):
    return c["row"] in ("elbo_gap_bias", "monte_carlo_bias") and c["n_pairs"] == 1 and c["column"]["pair"] != "mean"


def right(c):
    return c["row"].startswith("right")


SHOWN = {
    "allocation": has("var_score"),
    "arena": has("variance_over_ours"),
    "bounds": lambda c: c["column"]["quantity"].endswith("lhs/rhs"),
    "consistency": has("var_score", "repeats_needed"),
    "designs": lambda c: c["row"] == "gain" and c["column"]["n"] == (16 if "512" in c["column"]["model"] else 8),
    "figure1": lambda c: c["column"]["arm"] in BARS or c["row"] in ("right: addition", "right: sums"),
    "figure5": has("loss, smoothed"),
    "forms": lambda c: c["row"] in ("var_score_ratio", "var_term") and c["column"]["form"] == "time",
    "likelihood": lambda c: "pair" in c["column"] and of_one_pair(c),
    "profile": lambda c: (
        (c["row"] == "var_term" and c["value"] != 0) or (c["row"] == "share_time" and "markov" in c["column"]["model"])
    ),
    "proxy": lambda c: c["row"].startswith("var_gradient") and (c["row"].endswith("ratio") or "pair" in c["column"]),
    "ratio": lambda c: c["row"] == "ratio_deviation",
    "table1": right,
    "table3": lambda c: c["row"].endswith("_ratio"),
    "table3_tasks": lambda c: c["row"].startswith("minus"),
    "table4": has("right: all"),
    "table5": lambda c: right(c) and c["column"]["over"] != "sd",
    "table6": lambda c: "block" in c["column"],
    "training_noise": has(*PANELS),
}
"""Which cells each exhibit's figure shows; of others, all."""
NUMBERS = {
    "architecture": lambda c: c["value"] / c["paper"],
    "ratio": lambda c: c["median"],
}
"""What is drawn of a cell; of others, the value."""


def every(cell):
    return True


def drawn(figure):
    """Every finite coordinate of a line, a dot or a bar."""
    points = [point for ax in figure.axes for line in ax.lines for point in line.get_xydata()]
    bars = [bar.get_height() for ax in figure.axes for bar in ax.patches]
    return {float(v) for point in [*points, *np.transpose([bars])] if np.isfinite(point).all() for v in point}


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


@pytest.fixture(scope="module")
def stored():
    return {name: json.loads((FIGURES / f"{name}.json").read_text())["cells"] for name in EXHIBITS.names()}


@pytest.mark.parametrize(
    "methods",
    [{}, {"exact": "pooled"}, {"mc": "pooled"}, {"exact": "mc", "mc": "exact"}, {"exact": "mc", "mc": "pooled"}],
    ids=str,
)
@pytest.mark.parametrize("name", EXHIBITS.names())
def test_every_value_is_drawn_whatever_its_method(name, methods, stored):
    cells = [c | {"method": methods.get(c["method"], c["method"])} for c in stored[name]]
    number = NUMBERS.get(name, lambda c: c["value"])
    expected = {number(c) for c in cells if SHOWN.get(name, every)(c)} - {None}
    assert expected
    figure = EXHIBITS[name].plot(cells)
    assert expected <= drawn(figure)
    assert "nothing to draw" not in texts(figure)


@pytest.mark.parametrize("name", EXHIBITS.names())
def test_missing_values_leave_gaps(name, stored):
    empty = {"value": None, "stderr": None, "median": None, "interval": None}
    nothing = EXHIBITS[name].plot([c | empty | {"paper": None} for c in stored[name]])
    assert set(texts(nothing)) == {"nothing to draw"}
    assert set(texts(EXHIBITS[name].plot([]))) == {"nothing to draw"}
    half = [c | empty if k % 2 else c for k, c in enumerate(stored[name])]
    assert drawn(EXHIBITS[name].plot(half)) <= drawn(EXHIBITS[name].plot(stored[name]))


def test_error_bars_are_the_standard_errors():
    _, (ax,) = plotting.panels(1)
    plotting.grouped_dots(ax, {"m": {"a": (2.0, 0.5), "b": (3.0, None)}}, title="", ylabel="")
    (segments,) = [bars.get_segments() for bars in ax.containers[0].lines[2]]
    assert [segment[:, 1].tolist() for segment in segments if len(segment)] == [[1.5, 2.5]]


@pytest.mark.parametrize("name", ["cost$5_or_$6", "_latest"])
def test_a_run_whose_models_have_such_names(vrpo, tmp_path, name):
    """The whole command, on checkpoints in folders of these names; the figure shows what was pooled."""
    (tmp_path / name).symlink_to(TINY / "policy")
    row = {"prompt_ids": [1, 2], "chosen_ids": list(range(13)), "rejected_ids": [7, 8]}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row))
    options = ("--pool", "4,2", "--gradient", "none", "--repeats", 3, "--out", tmp_path / "out")
    sources = ("--policy", tmp_path / name, "--reference", TINY / "reference", "--pairs", tmp_path / "pairs.jsonl")
    result = vrpo("reproduce", "table3", *sources, *options)
    assert result.exit_code == 0, result.output
    assert name in result.stdout
    assert f"written: {tmp_path / 'out' / 'table3.json'}, .md, .csv, .png, .svg" in result.stderr
    cells = json.loads((tmp_path / "out" / "table3.json").read_text())["cells"]
    figure = EXHIBITS["table3"].plot(cells)
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["paper (8B)", name]
    assert {c["value"] for c in cells if c["row"] == "var_score_ratio"} <= drawn(figure)
