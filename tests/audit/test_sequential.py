"""The bets: fair by enumeration, right at any time by simulation, void where their assumption is."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from vrpo_theory.auditing.sequential import FRACTIONS, Bet, Evidence, log_bets, log_mixture

ATOMS, PROB = np.array([-2.0, -0.5, 0.0]), np.array([0.2, 0.5, 0.3])
MEAN = float(PROB @ ATOMS)


def expected_wealth(m, end, draws=3):
    """E of the wealth against m after some draws, over all sequences."""
    total = 0.0
    for index in itertools.product(range(len(ATOMS)), repeat=draws):
        chosen = list(index)
        total += math.prod(PROB[chosen]) * math.exp(log_mixture(log_bets(ATOMS[chosen], m, end)))
    return total


@pytest.mark.parametrize("end", [-2.0, -4.0, 0.0, 1.5])
def test_wealth_is_a_martingale_at_the_mean_and_a_supermartingale_beyond(end):
    assert expected_wealth(MEAN, end) == pytest.approx(1, rel=1e-12)
    away = MEAN + 0.1 * math.copysign(1, MEAN - end)
    assert expected_wealth(away, end) < 1
    assert expected_wealth(2 * MEAN - away, end) > 1


def test_a_value_far_below_is_evidence_without_any_lower_bound():
    """Non-positive observations: Markov's inequality needs no lower end."""
    bet = Bet(-1.0, 0.0)
    bet.update(np.array([-1e6]))
    assert bet.log_wealth == pytest.approx(
        math.log(np.average(1 + FRACTIONS * (1e6 - 1), weights=FRACTIONS)), rel=1e-12
    )


def test_bets_add_up_over_updates():
    x = np.linspace(-1.9, -0.1, 50)
    whole, parts = Bet(-0.4, -2.0), Bet(-0.4, -2.0)
    whole.update(x)
    for part in np.split(x, [7, 8, 40]):
        parts.update(part)
    assert parts.log_wealth == pytest.approx(whole.log_wealth, rel=1e-12)


def regular(size):
    """Observations in exactly the law's proportions: nothing is left to chance."""
    return np.tile(np.array([-0.5, -2, 0, -0.5, -0.5, 0, -2, -0.5, 0, -0.5]), size // 10)


def sided(alpha):
    """One level on every side."""
    return {"reject": alpha, "accept": alpha / 2}


def weighed(target, x, alpha, margin=0.1, low=-2.0, high=0.1):
    evidence = Evidence(target, margin, low, high, **sided(alpha))
    evidence.update(x)
    return evidence


RUNS, LOOKS = 1500, (10, 20, 40, 80, 160, 320)


@pytest.mark.statistical(rate=1e-9, detects="rates of 9% where 5% are promised, whenever one looks; 6% a side for 2.5%")
@pytest.mark.parametrize("prob", [PROB, np.array([0.02, 0.0, 0.98])], ids=["three atoms", "rare event"])
def test_the_true_mean_is_rejected_no_more_often_than_promised(prob):
    target = float(prob @ ATOMS)
    low = high = 0
    for run in range(RUNS):
        evidence = Evidence(target, 0.1, -2.0, 0.1, **sided(0.05))
        found = np.random.default_rng(run).choice(ATOMS, LOOKS[-1], p=prob)
        ever = np.zeros(2, bool)
        for part in np.split(found, LOOKS[:-1]):
            evidence.update(part)
            ever |= (evidence.too_low, evidence.too_high)
        low, high = low + ever[0], high + ever[1]
    most = [binom.isf(2e-10, RUNS, rate) for rate in (0.025, 0.05)]
    assert max(low, high) <= most[0] < 0.06 * RUNS
    assert low + high <= most[1] < 0.09 * RUNS


def test_a_wrong_mean_is_rejected_and_a_right_one_accepted():
    x = regular(6000)
    right = weighed(MEAN, x, alpha=1e-9)
    assert right.within
    assert not any((right.too_low, right.too_high))
    high = weighed(MEAN - 0.2, x, alpha=1e-9)
    low = weighed(MEAN + 0.2, x, alpha=1e-9)
    assert high.too_high
    assert low.too_low
    assert not any((high.too_low, low.too_high, high.within, low.within))


@pytest.mark.parametrize("shift", [-0.2, 0.0, 0.03, 0.2])
def test_the_interval_is_where_the_bets_turn(shift):
    target, x = MEAN + shift, regular(500)
    evidence = weighed(target, x, alpha=1e-3)
    lower, upper = evidence.interval(x)
    assert lower < x.mean() < upper
    assert (lower > target, upper < target) == (evidence.too_high, evidence.too_low)
    for bound, end in ((lower, -2.0), (upper, 0.1)):
        assert log_mixture(log_bets(x, bound, end)) == pytest.approx(evidence.to_accept, abs=0.02)


def test_no_observation_and_no_spread():
    evidence = Evidence(-1.0, 0.1, -2.0, 0.0, **sided(0.05))
    assert (evidence.to_reject, evidence.to_accept) == (math.log(40), math.log(40))  # half of alpha a side
    assert evidence.interval(np.array([])) == (-2.0, 0.0)
    same = np.full(400, -1.0)
    evidence.update(same)
    assert evidence.within
    lower, upper = evidence.interval(same)
    assert -1.1 < lower < -1 < upper < -0.9


def test_a_value_beyond_the_range_voids_what_rests_on_it_for_good():
    x = regular(4000)
    evidence = Evidence(MEAN - 0.3, 0.05, -2.0, 0.1, **sided(1e-6))
    evidence.update(x)
    assert evidence.too_high
    evidence.update(np.array([-2.5]))
    evidence.update(x)
    assert not any((evidence.too_high, evidence.within))
    assert evidence.interval(x)[0] == -math.inf
    assert evidence.interval(x)[1] < 0
    low = Evidence(MEAN + 0.15, 0.01, -2.0, 0.1, **sided(1e-6))
    low.update(np.array([-2.5]))
    low.update(x)
    assert low.too_low  # this side needs no lower end
    low.update(np.array([0.2]))
    assert not low.too_low
    assert low.interval(x)[1] == math.inf


def test_what_was_seen_once_stays_seen():
    """Evidence at one look is evidence, though later values weaken it."""
    evidence = weighed(-0.5, np.full(200, -1.0), alpha=1e-3)
    assert evidence.too_low
    evidence.update(np.zeros(300))
    assert evidence.interval(np.append(np.full(200, -1.0), np.zeros(300)))[1] > -0.5
    assert evidence.too_low


def test_what_remains_is_foreseen():
    x = regular(4000)
    steps = list(range(25, 4001, 25))
    evidence = Evidence(MEAN, 0.1, -2.0, 0.1, **sided(1e-6))
    assert evidence.remaining == math.inf
    guessed = {}
    for stop in steps:
        evidence.update(x[stop - 25 : stop])
        guessed[stop] = stop + evidence.remaining
        if evidence.within:
            break
    assert guessed[stop] <= stop
    assert guessed[stop // 50 * 25] == pytest.approx(stop, rel=0.5)


def test_the_range_must_hold_the_target():
    with pytest.raises(ValueError, match="low < target - margin"):
        Evidence(-1.0, 1.5, -2.0, 0.0, **sided(0.05))
