"""Claims with numbers, each to three digits."""

import math
from itertools import product

import numpy as np
import pytest

from vrpo_theory import Budget, instances
from vrpo_theory.numerics import log_sigmoid
from vrpo_theory.statements import (
    STATEMENTS,
    allocation,
    first_order,
    floors,
    gradient,
    lemma5,
    loss,
    public_code,
    ratio,
    score,
    theorem4,
    time_form,
)
from vrpo_theory.statements import kurtosis as lemma4
from vrpo_theory.types import Moments


@pytest.mark.parametrize(("mean", "variance"), list(product((0.0, 1.0, -3.0, 40.0), (1e-4, 1.0, 25.0))))
def test_bias_bound_is_the_log_of_a_ratio_of_hyperbolic_cosines(mean, variance):
    direct = math.log(math.cosh(math.sqrt(mean**2 + variance) / 2) / math.cosh(mean / 2))
    assert float(loss.bias_bound(mean, variance)) == pytest.approx(direct, rel=1e-6, abs=1e-13)
    assert loss.bias_bound(mean, variance) <= loss.uniform_bias_bound(variance) * (1 + 1e-12)
    assert loss.uniform_bias_bound(variance) <= loss.simple_bias_bound(variance) * (1 + 1e-12)


@pytest.mark.parametrize(("mean", "variance"), list(product((0.0, 1.0, -3.0), (0.01, 1.0, 25.0))))
def test_bias_of_two_mirrored_atoms_attains_the_bound(mean, variance):
    """-log sigmoid(x) = log(2 cosh(x/2)) - x/2, and the atoms are at +-sqrt(mu^2 + V): both sides in closed form."""
    root = math.sqrt(mean**2 + variance)
    law = instances.two_point(-root, root, (1 - mean / root) / 2)
    closed = math.log(math.cosh(root / 2) / math.cosh(mean / 2))
    assert loss.bias(law) == pytest.approx(closed, rel=1e-9)
    assert float(loss.bias_bound(mean, variance)) == pytest.approx(closed, rel=1e-9)


def test_bias_is_of_order_v_and_not_of_its_root():
    for mean in (0.0, 1.5):
        found = [loss.bias(instances.gaussian(mean, v)) for v in (1e-2, 1e-4)]
        assert found[0] / found[1] == pytest.approx(100, rel=0.02)
        errors = [loss.mean_absolute_error(instances.gaussian(mean, v)) for v in (1e-2, 1e-4)]
        assert errors[0] / errors[1] == pytest.approx(10, rel=0.02)


def test_first_order_variance_is_14_times_off():
    x = instances.gaussian(3.0, 4.0, nodes=120)
    actual, guess, _ = first_order.first_order_variance(x)
    assert actual / guess == pytest.approx(14, abs=0.5)


def test_the_variance_constant_is_1_at_every_mean():
    for mean in (-2.0, 0.0, 5.0):
        rare = 1e-7
        x = instances.score_law([rare, 1 - rare], [mean - 1e5, mean + 1e5 * rare / (1 - rare)])
        assert 0.98 < loss.loss_variance(x) / x.variance <= 1


def test_the_printed_constant_of_lemma_4():
    x = STATEMENTS["lemma4"].sides(instances.two_point(-1.0, 1.0))
    assert x[0] / x[1] == pytest.approx(math.sqrt(0.2) * 0.8**2, rel=1e-12)
    assert x[0] / x[1] == pytest.approx(0.2862, abs=5e-5)
    assert float(lemma4.deviation_bound(1.0, 1.0)) == 1.0


def test_the_printed_proof_of_19_breaks():
    lhs, rhs = STATEMENTS["theorem4_printed_step"].sides(theorem4.printed_proof_breaks())
    assert (round(lhs, 4), round(rhs, 4)) == (0.1147, 0.0763)


def test_kappa_star():
    assert pytest.approx(0.0902, abs=5e-5) == gradient.KAPPA
    # The two-point problem of the proof, by brute force: max of (w - w')^2 / (1 - w'^2) over its squared score gap.
    w = np.linspace(1e-4, 1 - 1e-4, 1200)
    high, low = np.meshgrid(w, w, indexing="ij")
    keep = high > low + 1e-3
    logit = np.log(w / (1 - w))
    gap = (logit[:, None] - logit[None, :])[keep]
    value = (high - low)[keep] ** 2 / (1 - low[keep] ** 2) / gap**2
    assert value.max() == pytest.approx(gradient.KAPPA, rel=2e-3)
    assert value.max() <= gradient.KAPPA * (1 + 1e-9)


def test_kappa_star_cannot_be_lowered():
    x = theorem4.worst_pair(0.01)
    spent = gradient.loss_gradient_variance(x) - x.gradient_variance
    assert spent / (x.bound**2 * x.variance) == pytest.approx(gradient.KAPPA, rel=0.01)


def test_time_form_grows_by_ln_10_a_decade():
    profile = time_form.Profile(np.array([[0, 0], [-2.0, 0], [-4, 0], [-6, 0]]), np.zeros((4, 2, 2)))
    found = [time_form.second_moment(profile, eps) for eps in (1e-6, 1e-7, 1e-8)]
    assert np.diff(found) == pytest.approx(3 * 4 * math.log(10), rel=1e-4)


def test_count_form_of_independent_tokens_by_enumeration():
    a = np.array([0.3, 2.0, 1.1, 0.2, 4.0])
    table = instances.independent_tokens(-a)
    second = np.mean([np.mean([(5 / c * s) ** 2 for s in table.sums[table.counts == c]]) for c in range(1, 6)])
    assert time_form.independent_count_variance(a) == pytest.approx(second - a.sum() ** 2, rel=1e-12)


def test_the_count_form_can_lose_to_a_coarse_floor():
    """Eight tokens of which one carries all: a floor of 1/2 beats the count form, a floor of 1e-3 does not."""
    a = np.eye(8)[0]
    count = time_form.independent_count_variance(a)
    assert time_form.independent_variance(a, 0.5) < count < time_form.independent_variance(a, 1e-3)


def test_whether_sharing_helps_can_depend_on_masks_per_timestep():
    between, within = np.tile([[1.0, 0.5], [0.5, 1.0]], (2, 1, 1)), np.tile([[1.0, -0.8], [-0.8, 1.0]], (2, 1, 1))
    gains = [score.sharing_gain(between, within, Budget(1, n_yt), 1.0) for n_yt in (1, 2, 8)]
    assert gains[0] < 0 < gains[1] < gains[2]


def test_sharing_timesteps_across_the_pair_helps_only_if_they_agree():
    zero = np.zeros((2, 2, 2))
    agree, apart, oppose = (score.variance(zero + np.eye(2), zero, Budget(2, 1), 1.0, c) for c in (0.3, 0.0, -0.3))
    assert agree < apart < oppose


INDEPENDENT = instances.independent_tokens([-1.0, -2.0, -0.5])
GENERAL = instances.StatedTable(instances.masked(-np.random.default_rng(0).exponential(size=(8, 3))))


@pytest.mark.parametrize("mean", [floors.floored_mean, floors.clamped_mean])
def test_floors_in_mask_and_weight_keep_independent_tokens_only(mean):
    assert mean(INDEPENDENT, 0.1) == pytest.approx(-3.5, rel=1e-12)
    assert abs(mean(GENERAL, 0.1) - time_form.count_mean(GENERAL)) > 1e-3


def test_other_fix_ups_are_biased_always():
    assert floors.clamped_weight_mean(INDEPENDENT, 0.1) == pytest.approx(-3.5 * (1 - 0.1 / 2), rel=1e-12)
    means = [floors.clamped_mask_moment(INDEPENDENT, 0.1, s) for s in (1e-3, 1e-6, 1e-9)]
    assert np.diff(np.abs(means)).min() > 2
    assert abs(floors.at_least_one_mean(GENERAL) - time_form.count_mean(GENERAL)) > 1e-3
    assert floors.count_weight_mean(GENERAL, with_empty=True) == pytest.approx(time_form.count_mean(GENERAL), rel=1e-12)
    biased = floors.count_weight_mean(GENERAL, with_empty=False)
    assert biased == pytest.approx(time_form.count_mean(GENERAL) * 4 / 3, rel=1e-12)


def test_rounded_counts_of_the_public_code():
    law = public_code.rounded_counts(8, 16)
    assert {law[c] for c in (2, 4, 6, 8)} == {3 * law[1]}
    assert len({law[c] for c in (1, 3, 5, 7)}) == 1
    for length in range(1, 13):
        for batch in range(1, 17):
            flat = len(set(public_code.rounded_counts(length, batch).values())) == 1
            assert flat == public_code.uniform(length, batch)
    assert public_code.uniform(6, 5)


def test_cost_aware_allocation():
    v_time, v_mask, c_t, c_y = 2.0, 8.0, 4.0, 1.0
    best = float(allocation.optimal_masks(v_time, v_mask, c_t, c_y))
    assert best == 4.0
    least = float(allocation.least_cost_variance(v_time, v_mask, c_t, c_y))
    for n_yt in range(1, 12):
        product = (c_t + c_y * n_yt) * lemma5.variance(Moments(0.0, v_time, v_mask), Budget(1, n_yt))
        assert product >= least * (1 - 1e-12)
        assert (n_yt == 4) == math.isclose(product, least)


def test_repeats_for_five_percent():
    assert lemma5.repeats_needed(0.05, 128, 0.0, 2.0) == pytest.approx(3.1, abs=0.05)
    assert lemma5.repeats_needed(0.05, 128, 2.0, 5.0) == pytest.approx(3.125 * 5 * 4)


def test_an_importance_ratio_is_inflated_by_e_at_variance_2():
    assert ratio.factor(instances.gaussian(0.0, 2.0)) == pytest.approx(math.e, rel=1e-9)
    assert float(ratio.gaussian_factor(2.0)) == pytest.approx(math.e)


def test_jackknife_removes_the_first_order():
    """s = 0.5, V = 1.1, n = 8 normal terms: bias 0.117 to about 0.010."""
    full = loss.bias(instances.gaussian(0.5, 1.1))
    left = loss.bias(instances.gaussian(0.5, 1.1 * 8 / 7))
    assert full == pytest.approx(0.117, abs=0.0015)
    assert abs(float(ratio.jackknife(full, left, 8))) == pytest.approx(0.010, abs=0.003)


def test_concavity_bias_is_one_sided():
    for seed in range(30):
        x = STATEMENTS["bias"].instance(np.random.default_rng(seed))
        assert loss.bias(x) >= -1e-12
    assert float(log_sigmoid(0.0)) == -math.log(2)
