"""The exhibits of training: rules of judgement, seeds, quick runs, and tables filled from runs made elsewhere."""

import json
import math

import numpy as np
import pytest

from vrpo_theory import EXHIBITS
from vrpo_theory.errors import InputError
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.figure5 import smoothed
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.seeds import spread
from vrpo_theory.training.spending import allocate
from vrpo_theory.types import Estimate


@pytest.mark.parametrize(
    ("value", "stderr", "sign", "word"),
    [
        (0.05, 0.01, 1, "order holds"),
        (0.05, 0.01, -1, "order fails"),
        (-0.05, 0.01, -1, "order holds"),
        (0.05, 0.01, None, "differs"),
        (0.001, 0.001, 1, "order fails"),  # no difference, by both one-sided tests
        (0.001, 0.001, 0, "order holds"),
        (0.001, 0.001, None, "agrees"),
        (0.01, 0.01, 1, "inconclusive"),
        (0.01, 0.01, None, "inconclusive"),
    ],
)
def test_verdicts(value, stderr, sign, word):
    assert paired.judged(Estimate(value, stderr, df=30), sign).word == word


def test_few_seeds_are_believed_less():
    found = [paired.judged(Estimate(0.05, 0.01, df=df), 1).interval for df in (1, 1000)]
    assert found[0][0] < 0 < found[1][0]


def test_equal_answers_do_not_differ():
    right = np.array([[True, False, True], [False, False, True]])
    assert paired.difference(right, right) == Estimate(0.0, 0.0, "", df=paired.difference(right, right).df)


def test_one_seed_is_mcnemar():
    """Of b prompts that only ours has right and c that only theirs has, z^2 is about (b - c)^2 / (b + c)."""
    ours, theirs = np.zeros((2, 1, 400), bool)
    ours[0, :30], theirs[0, 30:40] = True, True
    found = paired.difference(ours, theirs)
    assert found.value == pytest.approx(20 / 400)
    assert (found.value / found.stderr) ** 2 == pytest.approx(20**2 / 40, rel=0.05)
    assert "one seed" in found.note


@pytest.mark.statistical(rate=1e-9, detects="95% intervals that hold the truth less often than 90%")
def test_intervals_hold_the_difference_of_all_seeds_and_prompts():
    """Four seeds and forty prompts, each with an effect of its own, 600 times: 95% intervals hold 0 nearly so often."""
    rng, held, trials = np.random.default_rng(0), 0, 600
    for _ in range(trials):
        effects = rng.normal(size=(4, 1)) * 0.3 + rng.normal(size=(1, 40)) + rng.normal(size=(4, 40))
        low, high = paired.interval(paired.accuracy(effects))
        held += low <= 0 <= high
    assert held > 0.9 * trials  # 95% or more but for 6 standard errors


def test_the_share_of_masks_is_known_where_it_is_plain():
    def share(values):
        return {name: (estimate.value, interval) for name, estimate, interval, _ in spread(values)}["share of masks"]

    masks = np.tile(np.arange(10.0), (4, 1)) % 2
    assert share(masks)[0] == 1
    data = np.arange(4.0)[:, None] + 1e-3 * masks
    value, (low, high) = share(data)
    assert low <= value <= high < 1e-4
    assert math.isnan(share(np.ones((3, 4)))[0])


@pytest.mark.parametrize("weights", [[1, 1, 6], [0, 0, 0], [1e-9, 1, 2], [5, 0, 0.1]])
def test_allocations_spend_what_there_is(weights):
    found = allocate(weights, 24, 2)
    assert found.sum() == 24
    assert found.min() >= 2
    assert (np.diff(found[np.argsort(weights)]) >= -1).all()


@pytest.mark.parametrize(("weights", "passes"), [([1, -1], 8), ([1, math.nan], 8), ([1, 1], 1)])
def test_allocations_that_cannot_be_are_refused(weights, passes):
    with pytest.raises(ValueError, match=r"weights must be|give more"):
        allocate(weights, passes)


def test_smoothing_keeps_a_third_or_so():
    assert smoothed(np.array([1.0, 0.0, 0.0])).tolist() == pytest.approx([1.0, 0.7, 0.49])


@pytest.fixture
def elsewhere(tmp_path):
    """Two arms and three seeds as the harness and ``vrpo train`` leave them."""
    shares = {"reference": 0.7, "8x1": 0.8, "1x1-apart": 0.75, "4x1": 0.79, "1x1": 0.7}
    shares |= {f"vrpo-seed-{k}": 0.8 + k / 100 for k in range(3)}
    for arm, share in shares.items():
        metric = {"alias": "gsm8k", "exact_match,strict-match": share, "exact_match_stderr,strict-match": 0.01}
        place = tmp_path / arm / "model"
        place.mkdir(parents=True)
        (place / "results_2026.json").write_text(json.dumps({"results": {"gsm8k": metric, "other": {"acc,none": 1}}}))
        lines = [{"step": k, "loss": 0.7 - k / 10, "score_variance": 0.1, "mask_noise_share": None} for k in range(3)]
        (tmp_path / arm / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def filled(name, folder):
    return EXHIBITS[name].documents(Context(), scale="llada-8b", runs=folder)


def value(cells, row, **column):
    (found,) = [
        c for c in cells if c["row"] == row and column.items() <= c["column"].items() and c["method"] != "paper"
    ]
    return found


def test_tables_are_filled_from_the_harness(elsewhere):
    cells = filled("table1", elsewhere)
    assert value(cells, "right: GSM8K", arm="VRPO")["value"] == 0.8
    assert value(cells, "right: GSM8K", arm="VRPO")["paper"] == pytest.approx(0.833)
    assert value(cells, "minus naive DPO", arm="VRPO")["verdict"] == "order holds"
    assert value(filled("table3_tasks", elsewhere), "minus 4x1", arm="1x1")["verdict"] == "order holds"
    assert value(filled("table5", elsewhere), "right: GSM8K", over="mean")["value"] == pytest.approx(0.81)
    assert len(filled("figure1", elsewhere)) == 2 * 5


def test_figures_are_filled_from_logs(elsewhere):
    assert value(filled("figure5", elsewhere), "loss, smoothed", arm="8x1", step=2)["value"] == pytest.approx(0.619)
    assert (
        value(filled("training_noise", elsewhere), "var_score, estimated in training", arm="4x1", step=0)["value"]
        == 0.1
    )


@pytest.mark.parametrize(("text", "reason"), [("{", "no result"), ('{"results": {"gsm8k": 1}}', "no result")])
def test_results_that_are_none_are_refused(elsewhere, text, reason):
    (elsewhere / "4x1" / "model" / "results_2026.json").write_text(text)
    with pytest.raises(InputError, match=reason):
        filled("table3_tasks", elsewhere)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="results"):
        filled("table1", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        filled("table1", tmp_path / "none")
