"""The benchmarks run at their smallest sizes and keep what they found; how fast they are is not for a test to say."""

import importlib
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of the folder as `python benchmarks/NAME.py` does."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("name", ["exact", "designs", "blocks"])
def test_quick_run_keeps_a_document(name, bench, tmp_path, monkeypatch):
    script, measuring = bench(name), bench("measuring")
    if name == "exact":  # fresh processes have a test of their own
        monkeypatch.setattr(script, "peak_memory", lambda make, *arguments: {"peak_mb": make(*arguments)() and 0.0})
    document = json.loads(measuring.keep(name, script.measure(quick=True), tmp_path).read_text())
    assert document["machine"]["threads"] == 1
    assert document["machine"]["torch"]
    for rows in document["sections"].values():
        assert rows
        assert all(value is None or isinstance(value, str | int | float) for row in rows for value in row.values())


def test_training_is_measured(bench, tmp_path, monkeypatch):
    """Every cell runs, here in this process; fresh ones have a test of their own."""
    script, measuring = bench("training"), bench("measuring")
    known = {"peak_mb": 2.0, "baseline_mb": 1.0, "seconds": 0.0}
    monkeypatch.setattr(script, "peak_memory", lambda make, *arguments: [make(*arguments)(), known][1])
    monkeypatch.setattr(script, "BUDGETS", (2, 3))
    sections = script.measure(quick=True)
    assert [(row["n"], row["micro_batch"]) for row in sections["memory of a step"]] == [(2, 2), (3, 2), (2, 4), (3, 4)]
    assert [row["copies"] for row in sections["memory of an adapter's run"]] == [1, 2]
    assert [row["measured"] for row in sections["requirements"][:3]] == [1.0, 1.0, 1.0]
    assert measuring.keep("training", sections, tmp_path).exists()


def test_batches_as_they_come_hold_every_row_once(bench):
    """The padded way computes the same sum."""
    import numpy as np

    from vrpo_theory.batching import WeightedTerms
    from vrpo_theory.models import llada

    case = llada.case(0)
    masks = np.random.default_rng(0).random((7, 8)) < 0.5
    terms = WeightedTerms([(case.pair.chosen, masks), (case.pair.rejected, masks)], [1.0 * masks, -0.5 * masks])
    parts = list(bench("training").as_they_come(terms, 40))
    assert len(parts) > 3
    whole = float(terms.value(case.policy).detach())
    assert sum(float(part.value(case.policy).detach()) for part in parts) == pytest.approx(whole, rel=1e-5)


@pytest.mark.soak
def test_audits_stand_beside_the_verdicts_that_are_due(bench):
    sections = bench("auditor").measure(True, ["count_form", "no_weight"])
    rows = sections["specimens"]
    assert [(r["estimator"], r["due"], r["cells"]) for r in rows] == [
        ("count_form", "accepted", 1), ("no_weight", "rejected", 1),
    ]  # fmt: skip
    right = [(r["due"], r["mistake due"]) == (r["given"], r["mistake named"]) for r in rows]
    assert sections["summary"][0]["right"] == sum(right)


def test_scripts_keep_where_they_are_told(bench, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["any.py", "--quick", "--out", str(tmp_path)])
    bench("measuring").run("any", "what it measures", lambda quick: {"section": [{"quick": quick}]})
    assert json.loads((tmp_path / "any.json").read_text())["sections"] == {"section": [{"quick": True}]}


def test_memory_is_that_of_the_work_alone(bench, tmp_path, monkeypatch):
    """Text fills its pages, so the peak is known; what the script holds before is in the baseline."""
    (tmp_path / "held.py").write_text("BEFORE = b'x' * 10**8\n\ndef make(size):\n    return lambda: b'x' * size\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = bench("measuring").peak_memory(bench("held").make, 2 * 10**8)
    assert found["peak_mb"] - found["baseline_mb"] == pytest.approx(200, abs=20)


def test_work_that_fails_says_so(bench, tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text("def make():\n    return lambda: [][0]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError, match="IndexError"):
        bench("measuring").peak_memory(bench("failing").make)


def test_rounds_run_in_turn_after_a_warm_up(bench):
    measuring, seen = bench("measuring"), []
    times = measuring.interleaved({name: lambda name=name: seen.append(name) for name in "ab"}, 2)
    assert seen == ["a", "b", "a", "b", "b", "a"]
    assert {name: len(rounds) for name, rounds in times.items()} == {"a": 2, "b": 2}


def test_ratio_is_the_median_within_rounds(bench):
    """A machine that slows down eightfold between rounds changes nothing."""
    found = bench("measuring").ratio({"a": [1.0, 2.0, 8.0], "b": [2.0, 4.0, 16.0]}, "a", "b")
    assert found == {"median": 0.5, "q1": 0.5, "q3": 0.5, "rounds": 3}


def test_crossing_is_where_a_power_law_has_the_variance(bench):
    n = bench("designs").np.array([1.0, 2.0, 4.0])
    curve = bench("designs").Curve(n, 8 * n[:, None] ** -1.5 * [1.0, 1e3], 0 * n[:, None] + [0.1, 0.1])
    found, error = curve.crossing(8 / 3**1.5)
    assert found[0] == pytest.approx(3)
    assert 0 < error[0] < 0.1 / 1.5  # errors of two points on a line of slope 1.5
    assert str(found[1]) == str(error[1]) == "nan"  # beyond the curve
