"""Validation, keys, sums and errors of the ground layer."""

import math

import numpy as np
import pytest
from scipy.stats import pareto

from vrpo_theory import Budget, Masks, Moments, PreferencePair, Profile, Response
from vrpo_theory.files import write_atomically
from vrpo_theory.numerics import log_sigmoid, mean_estimate, sigmoid, tail_index, total, variance_estimate
from vrpo_theory.randomness import content_key
from vrpo_theory.types import combine


@pytest.mark.parametrize("ids", [(), ("a",), (1.5,), (-1,), (True,), "12", None])
def test_a_response_needs_token_ids(ids):
    with pytest.raises(ValueError, match="token"):
        Response((), ids)


def test_keys_tell_content_not_row():
    assert Response((1,), (2, 3)).key == Response([1], np.array([2, 3])).key
    assert Response((1,), (2, 3)).key != Response((1, 2), (3,)).key
    assert content_key([1], [2]) != content_key([1, 2], [])


def test_pairs_refuse_nonsense():
    a, b = Response((1,), (2,)), Response((1,), (3,))
    assert PreferencePair(a, b).swapped().chosen is b
    with pytest.raises(ValueError, match="no preference"):
        PreferencePair(a, a)
    with pytest.raises(ValueError, match="same prompt"):
        PreferencePair(a, Response((9,), (3,)))


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, "4"])
def test_budgets_are_counts(bad):
    with pytest.raises(ValueError, match="at least 1"):
        Budget(bad, 1)
    with pytest.raises(ValueError, match="at least 1"):
        Budget(1, bad)


GOOD = {"mask": [[True, False], [True, True]], "form": "count", "level": [1, 2], "block": [0, 1], "weight": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mask": [True, False]}, r"\(n, L\)"),
        ({"level": [1]}, "level must have shape"),
        ({"level": [2, 2]}, "exactly l tokens"),
        ({"form": "tim"}, "'time' or 'count'"),
        ({"form": "time"}, r"\(0, 1\]"),
        ({"block": [1, 0]}, "non-decreasing"),
        ({"weight": [math.nan, 1]}, "finite"),
    ],
)
def test_masks_are_validated(change, reason):
    Masks(**GOOD)
    with pytest.raises(ValueError, match=reason):
        Masks(**{**GOOD, **change})


def test_arrays_are_frozen():
    masks = Masks(**GOOD)
    with pytest.raises(ValueError, match="read-only"):
        masks.mask[0, 0] = False


def test_profiles_are_validated():
    Profile(np.zeros((3, 2)), np.zeros((3, 2, 2)))
    for mean, covariance in ((np.zeros(3), np.zeros((3, 2, 2))), (np.zeros((3, 2)), np.zeros((3, 2)))):
        with pytest.raises(ValueError, match="must be"):
            Profile(mean, covariance)
    with pytest.raises(ValueError, match="non-finite"):
        Profile(np.full((3, 2), np.nan), np.zeros((3, 2, 2)))


def test_unknown_components_stay_unknown():
    assert combine([Moments(1.0, 2.0, 3.0), Moments(1.0, 1.0, None)]) == Moments(2.0, 3.0, None)


def test_log_sigmoid_everywhere():
    x = np.array([-1e4, -30.0, 0.0, 30.0, 1e4])
    assert np.allclose(log_sigmoid(x), [-1e4, -30.0, -math.log(2), -math.exp(-30), 0.0], rtol=1e-12)
    assert np.allclose(sigmoid(x) + sigmoid(-x), 1)


def test_sums_do_not_depend_on_order():
    x = np.array([1e16, 1.0, -1e16, 1.0] * 50)
    assert total(x) == total(x[::-1]) == 100.0


def test_variance_and_its_jackknife_error():
    """Against deleting each row by hand."""
    x = np.random.default_rng(0).exponential(size=12)
    left = [np.delete(x, i).var(ddof=1) for i in range(12)]
    found = variance_estimate(x)
    assert found.value == pytest.approx(x.var(ddof=1), rel=1e-12)
    assert found.stderr == pytest.approx(math.sqrt(11 / 12 * sum((v - np.mean(left)) ** 2 for v in left)), rel=1e-9)
    vectors = np.stack([x, 2 * x], axis=1)
    assert variance_estimate(vectors).value == pytest.approx(5 * x.var(ddof=1), rel=1e-12)


def test_what_has_no_error_says_so():
    assert mean_estimate([1.0]).stderr is None
    assert "no variance" in variance_estimate([1.0]).note
    assert variance_estimate([1.0, 2.0]).stderr is None


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.json"
    write_atomically(path, "old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vrpo_theory.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


@pytest.mark.statistical(rate=1e-9, detects="a tail index off by a factor of 2")
def test_tail_index_of_a_pareto_law():
    index = tail_index(pareto(1.5).rvs(40_000, random_state=3), 200)
    assert abs(index.value - 1.5) < 6.2 * index.stderr < 0.75


def test_tail_index_by_hand():
    found = tail_index([1.0, 1.0, 2.0, 2 * math.e], 2)
    assert found.value == pytest.approx(2 / (math.log(2) + math.log(2) + 1))
    assert found.stderr == pytest.approx(found.value / math.sqrt(2))
    assert tail_index([-1.0, 0.0, 0.0, 3.0], 2) is None
    assert tail_index([2.0] * 9, 3) is None
