"""Monte Carlo against exact values, at stated rates of false alarm."""

import math
from dataclasses import replace

import numpy as np
import pytest

from vrpo_theory import DESIGNS, MODELS, WEIGHTINGS, Budget, Case, Coupling, Scheme, estimate_scores, replicate
from vrpo_theory.exact import margin_moments, margin_variance, profiles, tabulate, true_margin
from vrpo_theory.sampling import gradient_variance, nested_moments

COUNT = DESIGNS["iid_count"]()
CASE = MODELS["tabular"].case(0, 6)
(ANSWERS,) = tabulate([CASE])


def margins(budget, shared, repeats, seed=0):
    return np.array(
        [m.mean for m in replicate(ANSWERS, Scheme(budget=budget, coupling=Coupling(shared)), repeats, seed=seed)]
    )


@pytest.mark.statistical(rate=2e-9, detects="a mean off by 0.17 standard deviations of one timestep")
@pytest.mark.parametrize("shared", [True, False])
def test_mean_is_the_exact_margin(shared):
    """Bernstein's inequality with the exact variance and range of one timestep's term, at 1e-9 each."""
    repeats, budget = 1000, Budget(8, 1)
    moments = margin_moments(profiles(ANSWERS), Scheme(coupling=Coupling(shared)))
    variance = moments.v_time + moments.v_mask
    width = sum(
        np.ptp([6 / max(c, 1) * s for c, s in zip(t.counts, t.sums, strict=True)])
        for answers in (ANSWERS.policy, ANSWERS.reference)
        for t in answers.tables.values()
    )
    log_rate, n = math.log(2 / 1e-9), repeats * budget.n_t
    bound = math.sqrt(2 * variance * log_rate / n) + 2 * width * log_rate / (3 * n)
    assert bound < 0.17 * math.sqrt(variance)
    assert abs(margins(budget, shared, repeats).mean() - true_margin(ANSWERS)) < bound


@pytest.mark.statistical(rate=2e-9, detects="a standard error wrong by 15% (as when a batch is taken for one draw)")
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("repeats", "off"), [(900, 0.15), pytest.param(2000, 0.1, marks=pytest.mark.soak)])
def test_standard_error_is_the_deviation_of_replications(shared, repeats, off):
    """What is allowed is over six of the fourth-moment standard errors of a deviation."""
    budget = Budget(8, 2)
    scheme = Scheme(budget=budget, coupling=Coupling(shared))
    stderr = np.array([estimate_scores([ANSWERS], scheme, seed=s, beta=1.0)[0].margin.stderr for s in range(repeats)])
    spread = margins(budget, shared, repeats, seed=12345).std(ddof=1)
    exact = math.sqrt(margin_variance(profiles(ANSWERS), scheme))
    assert abs(math.sqrt((stderr**2).mean()) / spread - 1) < off
    assert abs(spread / exact - 1) < off


@pytest.mark.statistical(rate=2e-9, detects="coverage off by 3.4 points, and by 1.5 in the longer run")
@pytest.mark.parametrize(("count", "off"), [(2_000, 0.034), pytest.param(10_000, 0.015, marks=pytest.mark.soak)])
def test_intervals_cover(count, off):
    """Nominal 95% intervals at n = 128; what is allowed is 7 binomial standard deviations."""
    truth, hits = true_margin(ANSWERS), 0
    for seed in range(count):
        margin = estimate_scores([ANSWERS], Scheme(budget=Budget(128, 1)), seed=seed)[0].margin
        hits += abs(margin.value - truth) <= 1.959964 * margin.stderr
    assert abs(hits / count - 0.95) <= off


def test_nested_components_are_unbiased_over_all_joint_draws():
    """The analysis of variance at (2, 2), averaged over the joint law of a three-token response: no sampling at all."""
    (answers,) = tabulate([MODELS["tabular"].case(2, 3)])
    budget, response = Budget(2, 2), answers.pair.chosen
    table = answers.policy[response].log_prob
    v_time = v_mask = 0.0
    for prob, masks in COUNT.joint(3, budget):
        addends = (3 / masks.level / budget.n) * table[masks.mask @ (1 << np.arange(3))].sum(1)
        found = nested_moments(addends, budget)
        v_time += prob * found.v_time
        v_mask += prob * found.v_mask
    means = answers.policy[response].count_means()[1:] * 3 / np.arange(1, 4)
    within = [np.var([3 / k * table[b].sum() for b in range(8) if b.bit_count() == k]) for k in (1, 2, 3)]
    assert math.isclose(v_time, means.var(), rel_tol=1e-12)
    assert math.isclose(v_mask, np.mean(within), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("budget", "known"),
    [(Budget(8, 1), (False, False, True)), (Budget(1, 4), (False, True, False)), (Budget(2, 2), (True, True, True))],
    ids=str,
)
def test_what_cannot_be_told_is_null(budget, known):
    estimate = estimate_scores([ANSWERS], Scheme(budget=budget), seed=0)[0]
    found = (estimate.moments.v_time, estimate.moments.v_mask, estimate.margin.stderr)
    assert tuple(x is not None for x in found) == known
    if all(known):
        v_time, v_mask, stderr = found
        assert math.isclose(stderr**2, v_time / budget.n_t + v_mask / budget.n, rel_tol=1e-12)


@pytest.mark.statistical(rate=4e-9, detects="an ELBO off by its standard deviation over 20")
@pytest.mark.parametrize("shared", [True, False])
def test_elbos_have_errors_of_their_own(shared):
    """At n_t = 4000 the mean is normal enough: 6.1 standard errors, four ELBOs each."""
    estimate = estimate_scores([ANSWERS], Scheme(budget=Budget(4000, 1), coupling=Coupling(shared)), seed=3)[0]
    assert len(estimate.elbo) == 4
    for (role, side), found in estimate.elbo.items():
        table = ANSWERS.model(role)[ANSWERS.pair.side(side)]
        assert abs(found.value - table.elbo) < 6.1 * found.stderr
        terms = [6 / max(c, 1) * s for c, s in zip(table.counts, table.sums, strict=True) if c]
        assert found.stderr < np.ptp(terms) / math.sqrt(4000)


@pytest.mark.parametrize(
    ("design", "weighting", "blocks"),
    [("iid_count", "plain", 4), ("strata", "plain", 1), ("iid_count", "two_way", 1), ("power_strata", "two_way", 1)],
)
def test_standard_errors_come_from_iid_timesteps_or_from_groups(design, weighting, blocks):
    """Seen at https://github.com/ML-GSAI/LLaDA/blob/main/get_log_likelihood.py."""
    scheme = Scheme(DESIGNS[design](), WEIGHTINGS[weighting](), Budget(4))
    one, many = (estimate_scores([ANSWERS], replace(scheme, groups=g), seed=0)[0] for g in (1, 5))
    assert len(one.blocks) == blocks
    assert len(many.blocks) == 5 * blocks
    assert (one.score.stderr is None) == (blocks == 1)
    assert blocks > 1 or "groups" in one.score.note
    assert many.score.stderr > 0
    assert math.isclose(many.blocks.mean(), many.score.value, rel_tol=1e-12)
    replicates = 5 * blocks  # of each response, and the two responses are independent
    assert replicates - 1 <= many.score.df <= 2 * (replicates - 1)


@pytest.mark.statistical(rate=2e-9, detects="an error of groups wrong by 26%, and by 15% in the longer run")
@pytest.mark.parametrize("weighting", ["plain", "two_way"])
@pytest.mark.parametrize(("count", "off"), [(500, 0.26), pytest.param(1500, 0.15, marks=pytest.mark.soak)])
def test_errors_of_groups_are_the_deviation_of_replications(weighting, count, off):
    """Mean square of errors from 6 groups against the spread of their estimates: ``off`` is over six deviations."""
    scheme = Scheme(DESIGNS["power_strata"](), WEIGHTINGS[weighting](), Budget(3), groups=6)
    found = [estimate_scores([ANSWERS], scheme, seed=s, beta=1.0)[0].margin for s in range(count)]
    spread = np.std([f.value for f in found], ddof=1)
    assert abs(math.sqrt(np.mean([f.stderr**2 for f in found])) / spread - 1) < off


def test_loss_by_the_jackknife():
    found = estimate_scores([ANSWERS], Scheme(budget=Budget(8)), seed=0, beta=1.0)[0]
    assert found.loss_by("plug-in") == pytest.approx(found.loss.value, rel=1e-12)
    assert found.loss_by("jackknife") < found.loss.value
    single = estimate_scores([ANSWERS], Scheme(DESIGNS["strata"](), budget=Budget(8)), seed=0)[0]
    with pytest.raises(ValueError, match="two independent blocks"):
        single.loss_by("jackknife")


@pytest.mark.parametrize("shared", [True, False])
def test_shared_timesteps_make_one_group_of_both_responses(shared):
    """Levels of chosen and rejected agree, and the error counts their covariance: unbiased over all joint draws."""
    coupling, budget = Coupling(shared, levels_shared=True), Budget(6, 2)
    draws = Scheme(budget=budget, coupling=coupling).draw(CASE.pair, seed=3)
    half = len(draws) // 2
    for k in range(half):
        first, second = draws[2 * k], draws[2 * k + 1]
        assert (first.masks.level == second.masks.level).all()
        assert (first.masks.mask != second.masks.mask).any()
    apart = Scheme(budget=budget, coupling=Coupling(shared)).draw(CASE.pair, seed=3)
    assert (apart[0].masks.level != apart[-1].masks.level).any()


@pytest.mark.statistical(rate=4e-9, detects="a covariance of shared timesteps left out")
@pytest.mark.parametrize("design", ["iid_count", "strata"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("repeats", "share"), [(2000, 0.35), pytest.param(6000, 0.2, marks=pytest.mark.soak)])
def test_exact_variance_of_shared_timesteps(design, shared, repeats, share):
    coupling, budget = Coupling(shared, levels_shared=True), Budget(2, 1)
    scheme = Scheme(DESIGNS[design](), budget=budget, coupling=coupling)
    values = np.array([m.mean for m in replicate(ANSWERS, scheme, repeats, seed=4)])
    exact = margin_variance(profiles(ANSWERS), scheme)
    error = math.sqrt(((values - values.mean()) ** 2).var() / repeats)
    assert abs(values.var(ddof=1) - exact) < 6.2 * error < share * exact


def test_nested_components_with_shared_timesteps():
    """Two contrasts on the same two levels, every draw listed: V_t has their covariance, V_yt adds."""
    (answers,) = tabulate([MODELS["tabular"].case(2, 2)])
    moments = margin_moments(profiles(answers), Scheme(coupling=Coupling(levels_shared=True)))
    gain = []
    for side, sign in (("chosen", 1), ("rejected", -1)):
        response = answers.pair.side(side)
        sums = answers.policy[response].sums - answers.reference[response].sums
        gain.append(sign * np.array([sums[[1, 2]].mean() * 2, sums[3]]))
    assert math.isclose(moments.v_time, (gain[0] + gain[1]).var(), rel_tol=1e-12)


def test_swapping_the_pair_negates_the_score_exactly():
    swapped = Case(CASE.policy, CASE.reference, CASE.pair.swapped())
    for shared in (True, False):
        one, other = estimate_scores([CASE, swapped], Scheme(budget=Budget(3, 2), coupling=Coupling(shared)), seed=5)
        assert one.score.value == -other.score.value
        assert one.margin.stderr == other.margin.stderr


def test_policy_equal_to_reference_scores_zero_when_shared():
    same = Case(CASE.policy, CASE.policy, CASE.pair)
    shared, apart = (
        estimate_scores([same], Scheme(budget=Budget(2, 2), coupling=Coupling(s)), seed=0)[0] for s in (True, False)
    )
    assert shared.score.value == 0.0
    assert abs(shared.loss.value - math.log(2)) < 1e-12
    assert apart.score.value != 0.0


def test_order_batch_size_and_company_do_not_matter():
    """Seen at https://github.com/NVIDIA-NeMo/Automodel/issues/3149."""
    cases = [Case(CASE.policy, CASE.reference, MODELS["tabular"].case(s, 6).pair) for s in range(4)]

    def scores(cases, **options):
        found = estimate_scores(cases, Scheme(budget=Budget(3, 2), coupling=Coupling(False)), seed=1, **options)
        return {c.pair.id: e.score.value for c, e in zip(cases, found, strict=True)}

    expected = scores(cases)
    assert scores(cases[::-1], batch_tokens=42) == expected
    assert scores(cases[2:3], batch_tokens=1) == {cases[2].pair.id: expected[cases[2].pair.id]}


def test_seed_repeat_design_budget_and_role_move_the_draws():
    def masks(seed=0, repeat=0, budget=Budget(2, 2), shared=True, side=0):  # noqa: B008
        return (
            Scheme(budget=budget, coupling=Coupling(shared))
            .draw(CASE.pair, seed=seed, repeat=repeat)[side]
            .masks.mask.tobytes()
        )

    found = [masks(), masks(seed=1), masks(repeat=1), masks(budget=Budget(4, 1)), masks(shared=False)]
    found += [masks(shared=False, side=1), masks(side=1)]
    assert len(set(found)) == len(found)


@pytest.mark.statistical(rate=1e-9, detects="a variance of the gradient off by half")
def test_gradient_variance_against_the_finite_law():
    """L = 2, n = 1: 3 masks per response, so 3 x 3 equally structured draws give the exact trace of the covariance."""
    import torch

    case = MODELS["tabular"].case(0, 2)
    budget, law = Budget(1, 1), {}
    for prob, draws in _all_draws(case, budget):
        law[tuple(d.masks.mask.tobytes() for d in draws)] = (prob, _plug_in_gradient(case, draws))
    probs = np.array([p for p, _ in law.values()])
    grads = torch.stack([g for _, g in law.values()]).numpy()
    mean = probs @ grads
    exact = float(probs @ ((grads - mean) ** 2).sum(1))
    found = gradient_variance(case, Scheme(budget=budget), 600, seed=0)
    assert abs(found.value - exact) < 6.5 * found.stderr
    assert 6.5 * found.stderr < 0.5 * exact


def _all_draws(case, budget):
    from vrpo_theory.couplings import Draw

    contrasts = Coupling().contrasts
    per_side = [list(COUNT.joint(2, budget)) for _ in contrasts]
    for p, first in per_side[0]:
        for q, second in per_side[1]:
            pair = zip(contrasts, (first, second), strict=True)
            yield p * q, [Draw(c, case.pair.side(c.side), masks) for c, masks in pair]


def _plug_in_gradient(case, draws):
    """Autograd of the plug-in loss, written from the equations."""
    import torch

    from vrpo_theory import batching

    score = 0.0
    for sign, draw in zip((1, -1), draws, strict=True):
        batch = batching.collate([(draw.response, draw.masks.mask)], case.policy)
        for role, model in ((1, case.policy), (-1, case.reference)):
            sums = model.log_prob(*batch).sum(1)
            factor = torch.tensor(draw.response.length / draw.masks.level)
            score = score + 0.2 * sign * role * (factor * sums).mean()
    loss = -torch.nn.functional.logsigmoid(score)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(case.policy.parameters()))])
