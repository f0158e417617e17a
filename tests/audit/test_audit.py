"""The audit as a whole: when it stops, what it reports, what it refuses."""

import json
import math

import pytest
import torch
from scipy.stats import binom

from vrpo_theory import audit
from vrpo_theory.auditing.diagnosis import Finding
from vrpo_theory.auditing.zoo import ZOO
from vrpo_theory.errors import CheckError, InputError, UndecidedError

RIGHT, WRONG = ZOO["count_form"].estimator, ZOO["per_token_mean"].estimator


def exact(model, prompt, answer, n, generator):
    """The ELBO itself, which the toy keeps: no noise, so nothing is left to chance."""
    from vrpo_theory.auditing.toys import TOYS, toy

    return next(t.elbo for t in (toy(name, len(answer)) for name in TOYS) if t.predictor is model)


def shifted(by):
    def estimator(model, prompt, answer, n, generator):
        return exact(model, prompt, answer, n, generator) + by * len(answer)

    return estimator


def test_it_is_a_public_name_beside_its_package():
    import vrpo_theory
    import vrpo_theory.auditing

    assert vrpo_theory.audit is vrpo_theory.auditing.audit


@pytest.mark.parametrize(
    ("by", "margin", "verdict"),
    [(0.0, 0.01, "accepted"), (0.004, 0.01, "accepted"), (-0.002, 0.01, "accepted"), (0.004, 0.003, "rejected"),
     (0.02, 0.01, "rejected"), (-0.02, 0.01, "rejected")],
)  # fmt: skip
def test_a_bias_is_held_against_the_margin(by, margin, verdict):
    """Without noise a bias well below the margin is accepted before it is told from 0."""
    found = audit(shifted(by), lengths=[2], n=[1], toys=["rough"], margin=margin)
    assert found.verdict == verdict
    (cell,) = found.cells
    assert cell.bias.value == pytest.approx(2 * by, abs=1e-12)
    if verdict == "rejected":
        assert cell.reason == ("too high" if by > 0 else "too low")


@pytest.mark.statistical(rate=1e-9, detects="right estimators rejected in 25% of audits where 5% are promised")
@pytest.mark.parametrize(("audits", "most"), [(40, 0.4), pytest.param(120, 0.25, marks=pytest.mark.soak)])
def test_right_estimators_are_rejected_no_more_often_than_promised(audits, most):
    """The law of the count form on the copied toy with L = 2, n = 1: twice 0.25 nats, or nothing."""

    def coin(model, prompt, answer, n, generator):
        return -0.5 * bool(torch.rand((), generator=generator) < 0.5)

    options = {"lengths": [2], "n": [1], "toys": ["copied"], "alpha": 0.05, "calls": 160}
    rejected = sum(audit(coin, seed=seed, **options).verdict == "rejected" for seed in range(audits))
    assert rejected <= binom.isf(1e-9, audits, 0.05) < most * audits


def test_it_stops_at_the_first_rejection_unless_told_otherwise():
    options = {"lengths": [2, 5], "n": [1], "toys": ["rough", "copied"]}
    first, full = audit(shifted(0.05), **options), audit(shifted(0.05), full=True, **options)
    assert first.verdict == full.verdict == "rejected"
    assert {c.verdict for c in full.cells} == {"rejected"}
    assert all(len(c.values) == 400 for c in first.cells)


def test_it_ends_undecided_with_the_reason():
    few = audit(exact, lengths=[2], n=[1], toys=["rough"], calls=70)
    assert few.verdict == "undecided"
    assert few.reason == "out of calls in 1 of 1 cells"
    with pytest.raises(UndecidedError, match=r"^undecided: out of calls"):
        few.raise_for_verdict()
    late = audit(exact, lengths=[2], n=[1], toys=["rough"], seconds=0)
    assert late.reason == "out of time in 1 of 1 cells (allow more seconds, or fewer lengths, n or toys)"
    assert late.document()["cells"][0]["bias"] is None
    late.table()


def test_values_above_the_range_leave_it_undecided_until_a_wider_one_is_stated():
    def mixed(model, prompt, answer, n, generator):
        value = exact(model, prompt, answer, n, generator)
        mixed.sign *= -1
        return value + mixed.sign * 2 * value

    mixed.sign = 1
    options = {"lengths": [2], "n": [1], "toys": ["rough"]}
    found = audit(mixed, **options)
    assert (found.verdict, found.reason) == ("undecided", "values above the assumed range in 1 of 1 cells")
    assert found.cells[0].interval()[1] == math.inf
    assert found.document()["cells"][0]["interval"][1] is None
    assert audit(mixed, span=(4, 2), margin=0.05, **options).verdict == "accepted"


def test_rounding_at_an_end_of_the_range_is_no_excess():
    """At L = 1 the plain estimate is -R, and 0 or -2 R for counts on 0..L: the ends themselves, up to float32."""

    def ends(model, prompt, answer, n, generator):
        ends.low = not ends.low
        return 2 * exact(model, prompt, answer, n, generator) * (1 + 1e-6) if ends.low else 1e-6

    ends.low = False
    (cell,) = audit(ends, lengths=[1], n=[1], toys=["rough"], calls=100).cells
    assert (cell.evidence.below, cell.evidence.above) == (0, 0)


def test_the_report_is_json():
    found = audit(WRONG, lengths=[2], n=[1, 2], toys=["rough"])
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert set(document) == {"verdict", "reason", "mistake", "findings", "cells", "generator", "forwards"}
    assert (document["verdict"], document["mistake"]) == ("rejected", "per-token-mean")
    assert document["forwards"] == sum(c["forwards"] for c in document["cells"])
    for cell in document["cells"]:
        assert cell["forwards"] == cell["n"] * cell["calls"]
        assert sum(cell["counts"]) == cell["forwards"]
        assert cell["counts"][0] == 0
    with pytest.raises(CheckError, match=r"^rejected: too high by .*likely mistake: per-token-mean$"):
        found.raise_for_verdict()


def test_nothing_known_may_fit():
    found = audit(shifted(0.05), lengths=[2, 5], n=[1], toys=["rough", "copied"])
    assert found.findings == (Finding("no-forward", "the model was never called"),)

    def odd(model, prompt, answer, n, generator):
        return RIGHT(model, prompt, answer, n, generator) * (1.7 if len(answer) == 5 else 0.9)

    found = audit(odd, lengths=[2, 5], n=[4], toys=["rough", "copied"])
    assert (found.verdict, found.mistake) == ("rejected", None)
    with pytest.raises(CheckError, match=r"no known mistake explains this$"):
        found.raise_for_verdict()


def test_names_that_fit_alike_are_told_together():
    """At L = 1 a count on 0..L-1 masks nothing, and so does a time below 1."""
    found = audit(ZOO["count_from_zero"].estimator, lengths=[1], n=[2], toys=["rough"])
    assert found.mistake in ("count-from-zero", "floor-quadrature", "eos-as-context")
    assert "so does" in found.findings[0].evidence


def test_batch_sizes_are_audited_apart():
    found = audit(RIGHT, lengths=[2], n=[1, 4, 32], toys=["rough"], calls=64)
    assert [(c.n, c.batch_size) for c in found.cells] == [(1, 1), (4, 1), (4, 4), (32, 1), (32, 16)]
    assert {(c.rules.reject, c.rules.accept) for c in found.cells} == {(1e-6 / 5, 1e-6)}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lengths": []}, "lengths"),
        ({"lengths": [0]}, "lengths"),
        ({"lengths": [257]}, "lengths"),
        ({"lengths": [11], "toys": ["rough"]}, "gaps has those above 10"),
        ({"n": [0]}, "n must be"),
        ({"alpha": 0.0}, "alpha"),
        ({"margin": 0.0}, "margin"),
        ({"margin": 0.2}, "margin"),
        ({"span": (0.5, 0.0)}, "span"),
        ({"span": (2.0,)}, "span"),
        ({"calls": 0}, "calls"),
        ({"toys": ["zebra"]}, "unknown toys"),
        ({"toys": []}, "unknown toys"),
        ({"lenghts": [1]}, "audit has no option 'lenghts': choose from lengths, n, "),
    ],
)
def test_bad_options_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        audit(exact, **options)


def test_a_tail_that_is_not_known_well_enough_leaves_it_undecided():
    """What a long answer's time form has beyond the range is only bounded: by more than this margin."""
    found = audit(ZOO["floored_time_form"].estimator, lengths=[70], n=[1], toys=["gaps"], calls=4000, span=(1, 0))
    assert (found.verdict, found.cells[0].reason) == ("undecided", "values below the assumed range")
