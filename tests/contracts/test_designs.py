"""What every design and weighting promises, checked on every member that is registered."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from vrpo_theory import DESIGNS, WEIGHTINGS, Budget, Masks, Profile, Scheme
from vrpo_theory.couplings import Contrast, Coupling
from vrpo_theory.exact import estimator_law, margin_mean, margin_variance
from vrpo_theory.randomness import Address
from vrpo_theory.weightings.plain import PLAIN, Plain

MEMBERS = [pytest.param(d, id=d.address) for kind in DESIGNS.members() for d in kind.examples()]
WEIGHTS = [pytest.param(w, id=repr(w)) for kind in WEIGHTINGS.members() for w in kind.examples()]
COUNT_FORM = [p for p in MEMBERS if p.values[0].form == "count"]
BUDGETS = [Budget(1, 1), Budget(3, 1), Budget(2, 2), Budget(16, 1), Budget(1, 5)]


def uniforms(design, budget, repeat=0, length=6):
    return Address(0, design.address, budget.n_t, budget.n_yt, b"key", repeat).uniforms()


def refusal(call, *arguments):
    """What a call is refused with; empty if it is not."""
    try:
        call(*arguments)
    except ValueError as error:
        return str(error)
    return ""


def admitted(design, budget):
    """Whether the design takes the budget; if not, it says so by name, with the fix."""
    reason = refusal(design.admit, budget)
    assert not reason or (reason.startswith(f"{design.name}: ") and "set n_" in reason)
    return not reason


def law(design, length, budget):
    """The law; none where a moment is infinite, and then it says so by name."""
    reason = refusal(design.law, length, budget)
    assert not reason or (reason.startswith(f"{design.name}: ") and "infinite" in reason)
    return () if reason else design.law(length, budget)


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("length", [1, 2, 7])
def test_draws_are_well_formed(design, budget, length):
    if not admitted(design, budget):
        budget = design.split(8)
    masks = design.draw(uniforms(design, budget), length, budget)
    assert masks.mask.shape == (budget.n, length)
    assert masks.form == design.form
    # n_yt masks share their level.
    assert (masks.level.reshape(budget.n_t, budget.n_yt) == masks.level[:: budget.n_yt, None]).all()


@pytest.mark.parametrize("design", MEMBERS)
def test_a_split_is_admitted_and_spends_no_more(design):
    for n in (4, 7, 8, 16):
        assert admitted(design, design.split(n))
        assert n - 1 <= design.split(n).n <= n


@pytest.mark.parametrize("design", MEMBERS)
def test_same_address_same_masks_and_no_global_generator(design):
    """Seen at https://github.com/huggingface/trl/issues/7083, https://github.com/unit8co/darts/issues/2463."""
    before = np.random.get_state()[1].copy()
    budget = design.split(8)
    first, again, other = (design.draw(uniforms(design, budget, r), 9, budget).mask for r in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any() or first.all()  # a design that masks everything has nothing to draw
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_law_is_a_law(design, budget):
    if not admitted(design, budget):
        pytest.skip(f"{design.name} does not take {budget}")
    blocks = law(design, 5, budget)
    for block in blocks:
        assert math.isclose(block.prob.sum(), 1)
        assert (block.prob >= 0).all()
        assert block.level.shape == block.weight.shape == (len(block.prob), block.level.shape[1])
        assert np.allclose(design.counts(block.drawn, 5).sum(-1), 1)


@pytest.mark.parametrize("design", COUNT_FORM)
@pytest.mark.parametrize("length", [1, 2, 5, 8, 16])
def test_marginal_law_of_the_counts_for_every_budget(design, length):
    """Unbiased: every count has the share 1/L, whatever the number of timesteps; else some budget shows it."""
    right = []
    for n_t in range(1, 33):
        if not admitted(design, Budget(n_t)):
            continue
        share = np.zeros(length + 1)
        for block in design.law(length, Budget(n_t)):
            np.add.at(share, block.level.astype(int), block.draws * block.prob[:, None] * block.weight)
        right.append(np.allclose(share[1:], 1 / length, rtol=1e-12))
    assert all(right) or not design.unbiased
    assert design.unbiased or length == 1 or not all(right)


@pytest.mark.parametrize("design", COUNT_FORM)
@pytest.mark.parametrize("n_t", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("points", [400, pytest.param(3000, marks=pytest.mark.soak)])
def test_draws_follow_the_law(design, n_t, points):
    """Levels are functions of uniforms: put a fine grid in the place of each one, the others at random."""
    budget, length = design.split(n_t), 7
    rng, grid = np.random.default_rng(0), (np.arange(points) + 0.5) / points

    class One:
        def level(self, *shape):
            u = rng.random(shape)
            u[self.which] = self.value
            return u

    blocks = design.law(length, budget)
    if not design.convolvable:
        pytest.skip("ranks, not quantiles: see test_counts_without_replacement_are_every_set_alike")
    step = 0
    for block in blocks:
        stream, seen = One(), {}
        stream.which = 0 if len(blocks) == 1 else step
        for stream.value in grid:
            steps = design.timesteps(stream, length, budget.n_t)
            key = (*steps.level[step : step + block.level.shape[1]], *steps.weight[step : step + block.level.shape[1]])
            seen[key] = seen.get(key, 0) + 1 / points
        expected = {}
        for prob, level, weight in zip(block.prob, block.level, block.weight, strict=True):
            key = (*level, *weight)
            expected[key] = expected.get(key, 0) + prob
        assert len(seen) == len(expected)
        for key, prob in expected.items():
            close = [value for k, value in seen.items() if np.allclose(k, key, rtol=1e-9)]
            assert len(close) == 1
            assert abs(close[0] - prob) <= 2 / points
        step += block.level.shape[1]


def test_counts_without_replacement_are_every_set_alike():
    """Every order of the uniforms in turn: each set of two of four counts comes up as often."""
    design, seen = DESIGNS["without_replacement"](), {}

    class Order:
        def level(self, *shape):
            return np.array(self.ranks) / 4

    stream = Order()
    for stream.ranks in itertools.permutations(range(4)):
        found = tuple(sorted(design.timesteps(stream, 4, 2).level))
        seen[found] = seen.get(found, 0) + 1
    assert sorted(seen) == list(itertools.combinations((1.0, 2.0, 3.0, 4.0), 2))
    assert set(seen.values()) == {4}


def random_profile(length, seed=0):
    """A profile whose both roles are random tables of all masks, and the true margin of one contrast."""
    table = np.random.default_rng(seed).normal(size=2**length)
    sums = [[table[b] for b in range(2**length) if b.bit_count() == count] for count in range(length + 1)]
    sums[0] = [0.0]
    mean = np.array([[np.mean(s), 0.0] for s in sums])
    covariance = np.zeros((length + 1, 2, 2))
    covariance[:, 0, 0] = [np.var(s) for s in sums]
    return Profile(mean, covariance), float(sum(np.mean(s) / k for k, s in enumerate(sums) if k))


class OneSide(Coupling):
    """The policy's ELBO of the chosen response, as if it were a margin."""

    groups = ((Contrast("chosen", (1.0, 0.0)),),)


@pytest.mark.parametrize("design", MEMBERS)
def test_bias_is_as_declared_by_the_law(design):
    """Exact mean against the ELBO of arbitrary tables: unbiased members at every length and budget.

    Seen at https://github.com/ML-GSAI/LLaDA/blob/main/get_log_likelihood.py.
    """
    if not law(design, 3, design.split(3)):
        pytest.skip(f"{design.name} has an infinite moment, so no mean")
    errors = []
    for length, n in itertools.product((1, 2, 3, 6, 9), (1, 3, 4, 8)):
        profile, truth = random_profile(length)
        errors.append(
            abs(margin_mean({"chosen": profile}, Scheme(design, budget=design.split(n), coupling=OneSide())) - truth)
        )
    assert (max(errors) < 1e-9) == design.unbiased
    assert design.unbiased or max(errors) > 1e-3


def table_elbo(table, length):
    by_count = [[] for _ in range(length + 1)]
    for bits in range(1, 2**length):
        tokens = [i for i in range(length) if bits >> i & 1]
        by_count[len(tokens)].append(length / len(tokens) * sum(table[bits, i] for i in tokens))
    return sum(sum(x) / len(x) for x in by_count[1:]) / length


def compatible(design, weighting):
    reason = refusal(weighting.check, design)
    assert not reason or design.name in reason
    return not reason


JOINT = [(2, 4), (3, 3), (4, 2), pytest.param(5, 2, marks=pytest.mark.soak)]
"""(L, n) whose joint draws are few enough to list."""


@pytest.mark.parametrize("design", COUNT_FORM)
@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize(("length", "n"), JOINT)
def test_bias_is_as_declared_by_all_joint_draws(design, weighting, length, n):
    """Expectation over every joint draw, for an arbitrary table, against the ELBO by its definition, to 1e-12."""
    if not compatible(design, weighting):
        pytest.skip(f"{weighting.name} is refused on {design.name}")
    table = np.random.default_rng(length).normal(size=(2**length, length))

    def terms_of(mask):
        return np.where(mask, table[mask @ (1 << np.arange(length))], 0)

    budget = design.split(n)
    found = estimator_law(terms_of, length, Scheme(design, weighting, budget))
    assert math.isclose(found.prob.sum(), 1, rel_tol=1e-12)
    truth = table_elbo(table, length)
    if design.unbiased:
        assert math.isclose(found.mean, truth, rel_tol=1e-12, abs_tol=1e-12)
    else:
        plain = estimator_law(terms_of, length, Scheme(design, budget=budget))
        assert math.isclose(found.mean, plain.mean, rel_tol=1e-12, abs_tol=1e-12)


def bernoulli_masks(t, length):
    """Independent masks at two given t, (2, L) each, with their probabilities."""
    for bits in itertools.product((False, True), repeat=2 * length):
        mask = np.array(bits).reshape(2, length)
        yield float(np.prod(np.where(mask, np.array(t)[:, None], 1 - np.array(t)[:, None]))), mask


def mirrored_masks(t, length):
    """A pair of masks at one t from the same uniforms: u < t and u > 1 - t, cell by cell of the unit interval."""
    edges = sorted({0.0, t, 1 - t, 1.0})
    cells = [((a + b) / 2, b - a) for a, b in itertools.pairwise(edges)]
    for chosen in itertools.product(cells, repeat=length):
        u = np.array([middle for middle, _ in chosen])
        yield math.prod(width for _, width in chosen), np.stack([u < t, u > 1 - t])


@pytest.mark.parametrize("weighting", WEIGHTS)
@pytest.mark.parametrize(
    ("level", "draws", "dependent"),
    [
        ((0.3, 0.7), bernoulli_masks, False),
        ((0.3, 0.3), lambda t, length: mirrored_masks(t[0], length), True),
        ((0.8, 0.8), lambda t, length: mirrored_masks(t[0], length), True),
    ],
    ids=["independent", "mirrored", "mirrored, overlapping"],
)
def test_weights_keep_the_mean_of_the_time_form_by_all_joint_draws(weighting, level, draws, dependent):
    """At given t, empty masks included: the same mean as plain weights, for an arbitrary table."""
    if dependent and weighting.needs_independent_masks:
        pytest.skip(f"{weighting.name} is for independent masks")
    length = 4
    table = np.random.default_rng(1).normal(size=(2**length, length))
    mean = {weighting: 0.0, PLAIN: 0.0}
    for prob, mask in draws(level, length):
        masks = Masks(mask, "time", level, [0, 1], [0.4, 0.6])
        terms = np.where(mask, table[mask @ (1 << np.arange(length))], 0)
        for w in mean:
            mean[w] += prob * float((w.weights(masks) * terms).sum())
    assert math.isclose(mean[weighting], mean[PLAIN], rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("design", [p for p in COUNT_FORM if p.values[0].independent_masks])
@pytest.mark.parametrize("budget", [Budget(1, 1), Budget(2, 1), Budget(3, 1), Budget(1, 2), Budget(2, 2)], ids=str)
def test_exact_variance_is_that_of_all_joint_draws(design, budget):
    length = 3
    table = np.random.default_rng(5).normal(size=(2**length, length))
    sums = np.array([sum(table[b, i] for i in range(length) if b >> i & 1) for b in range(2**length)])
    counts = np.array([b.bit_count() for b in range(2**length)])
    mean = np.array([[sums[counts == c].mean(), 0.0] for c in range(length + 1)])
    covariance = np.zeros((length + 1, 2, 2))
    covariance[:, 0, 0] = [sums[counts == c].var() for c in range(length + 1)]
    exact = margin_variance({"chosen": Profile(mean, covariance)}, Scheme(design, budget=budget, coupling=OneSide()))

    def terms_of(mask):
        return np.where(mask, table[mask @ (1 << np.arange(length))], 0)

    brute = estimator_law(terms_of, length, Scheme(design, budget=budget)).variance
    assert math.isclose(exact, brute, rel_tol=1e-11, abs_tol=1e-13)


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("weighting", WEIGHTS)
def test_weights_vanish_outside_the_masks_and_keep_row_sums(design, weighting):
    budget = design.split(8)
    for repeat in range(5):
        masks = design.draw(uniforms(design, budget, repeat), 7, budget)
        weights, plain = weighting.weights(masks), PLAIN.weights(masks)
        assert np.isfinite(weights).all()
        assert not weights[~masks.mask].any()
        if weighting.keeps_row_sums:
            assert np.allclose(weights.sum(1), plain.sum(1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTS)
def test_weights_follow_the_tokens(weighting):
    """Permuting positions permutes the weights; where neighbours count, moving all positions round does."""
    design, order = DESIGNS["strata"](), np.array([3, 1, 4, 0, 6, 5, 2])
    masks = replace(design.draw(uniforms(design, Budget(5)), 7, Budget(5)), key=b"")  # weights that draw: their mean

    def follow(order):
        moved = replace(masks, mask=masks.mask[:, order])
        return np.allclose(weighting.weights(moved), weighting.weights(masks)[:, order], rtol=1e-10)

    assert follow(np.roll(np.arange(7), 2))
    assert follow(order) == weighting.positions_alike


def test_plain_weights_are_those_of_the_equations():
    """Seen at https://github.com/huggingface/trl/issues/789, https://github.com/huggingface/trl/issues/6879."""
    budget = Budget(3, 2)
    for design, factor in ((DESIGNS["iid_count"](), 6.0), (DESIGNS["iid_time"](0.2), 1.0)):
        masks = design.draw(uniforms(design, budget), 6, budget)
        expected = np.where(masks.mask, factor / masks.level[:, None] / budget.n, 0)
        assert np.allclose(Plain().weights(masks), expected, rtol=1e-15)


@pytest.mark.parametrize(("kind", "eps"), list(itertools.product(("iid_time", "low_discrepancy"), (-0.1, 1.0))))
def test_a_floor_out_of_range_is_refused(kind, eps):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        DESIGNS[kind](eps)


@pytest.mark.statistical(rate=1e-9, detects="a token whose masking probability is off by 0.02")
def test_masks_are_uniform_subsets_and_bernoulli():
    """Hoeffding on 6 tokens and two forms: 12 two-sided tests, each at 1e-9 / 12."""
    budget, repeats = Budget(16, 1), 4000
    bound = math.sqrt(math.log(2 * 12 / 1e-9) / (2 * repeats * budget.n))
    assert bound < 0.02
    for design, mean in ((DESIGNS["iid_count"](), 7 / 12), (DESIGNS["iid_time"](0.0), 0.5)):
        draws = [design.draw(uniforms(design, budget, r), 6, budget).mask for r in range(repeats)]
        assert np.abs(np.concatenate(draws).mean(0) - mean).max() < bound


DEPENDENT = [p for p in MEMBERS if not p.values[0].independent_masks]


@pytest.mark.statistical(rate=1e-8, detects="a mask whose token shares are off by 0.06, given its count")
@pytest.mark.parametrize("design", DEPENDENT)
def test_dependent_masks_are_each_a_uniform_subset(design):
    """Hoeffding over tokens: with every mask of a draw, tokens are masked alike (about 60 tests, each at 1e-10)."""
    budget, repeats, length = design.split(5), 4000, 6
    draws = np.array([design.draw(uniforms(design, budget, r), length, budget).mask for r in range(repeats)])
    share = draws.mean(0)
    bound = math.sqrt(math.log(2 / 1e-10) / (2 * repeats))
    assert np.abs(share - share.mean(1, keepdims=True)).max() < 2 * bound < 0.11
