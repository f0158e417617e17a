"""Scores that do not vary: one-token answers (A/B, yes/no), equal models, constant terms, beta 0, and two groups."""

import json

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, Case, PreferencePair, Response
from vrpo_theory.planning import Cost, Planner, plan, report, run_pilot
from vrpo_theory.planning.fit import fit_profile

CHAIN = MODELS["markov"].case(0, 8)


class Constant:
    """The same log-probability for every masked token."""

    device, dtype, vocabulary = torch.device("cpu"), torch.float64, 5

    def __init__(self, value):
        self.value, self.fingerprint = value, f"constant {value}"

    def log_prob(self, tokens, answer, mask, attention):
        return self.value * mask.double()


def one_token(prompt=()):
    return Case(CHAIN.policy, CHAIN.reference, PreferencePair(Response(prompt, (1,)), Response(prompt, (2,))))


STILL = {
    "one token": ([one_token()], 0.2, "one token"),
    "one token, several pairs": ([one_token(), one_token((3,))], 0.2, "one token"),
    "equal models": ([Case(CHAIN.policy, CHAIN.policy, CHAIN.pair)], 0.2, "differ by the same amount"),
    "constant terms": ([Case(Constant(-1.3), Constant(-0.7), CHAIN.pair)], 0.2, "differ by the same amount"),
    "beta 0": ([CHAIN], 0.0, "beta is 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("target", [{"budget": 8}, {"target_stderr": 0.1}, {"target_bias": 0.1}], ids=str)
def test_any_budget_will_do(name, target):
    cases, beta, why = STILL[name]
    found = plan(cases, pilot=24, beta=beta, **target)
    assert found.recommended.variance.value == found.vrpo.variance.value == 0
    assert found.recommended.bias_bound == found.recommended.bias_local == 0
    assert found.cost == target.get("budget", 1)
    (note,) = found.notes
    assert "variance of the score is 0" in note
    assert why in note
    assert "one mask is enough" in report.text(found)
    json.dumps(report.document(found), allow_nan=False)


def test_one_still_pair_among_others_is_no_matter():
    cases = [CHAIN, one_token()]
    both, alone = (Planner(run_pilot(c, 64), 0.2, Cost()) for c in (cases, cases[:1]))
    best = alone.recommend(8)
    assert both.variances(best)[1] == 0
    assert both.variances(best)[0] == pytest.approx(alone.variances(best)[0])


def test_two_groups_have_no_errors_and_say_so():
    found = plan([CHAIN], pilot=4, budget=8)
    assert (found.groups, found.degrees_of_freedom) == (2, 0)
    assert found.recommended.variance.stderr is found.recommended.interval is None
    assert any("two groups" in note for note in found.notes)
    assert any("not 4" in note for note in found.notes)
    json.dumps(report.document(found), allow_nan=False)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_fit_of_nothing_is_nothing(size):
    found = fit_profile(np.ones(size), np.full((size, 2), -2.0), 1)
    assert not found.covariance.any()
    assert found.mean[1] == pytest.approx([-2.0, -2.0])


@pytest.mark.parametrize("prices", [(float("inf"), 1.0), (0.0, float("nan")), (0.0, 0.0)])
def test_prices_are_finite(prices):
    with pytest.raises(ValueError, match="finite"):
        Cost(*prices)
