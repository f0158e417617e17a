"""What every design promises, checked on every design that is registered."""

import math

import numpy as np
import pytest

from vrpo_theory import DESIGNS, WEIGHTINGS, Budget
from vrpo_theory.exact.joint import estimator_law
from vrpo_theory.randomness import Address
from vrpo_theory.weightings.plain import Plain

MEMBERS = [pytest.param(d, id=d.address) for kind in DESIGNS.members() for d in kind.examples()]
BUDGETS = [Budget(1, 1), Budget(3, 1), Budget(2, 2), Budget(16, 1), Budget(1, 5)]


def uniforms(design, budget, repeat=0, length=6):
    return Address(0, design.address, budget.n_t, budget.n_yt, b"key", repeat).uniforms()


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("length", [1, 2, 7])
def test_draws_are_well_formed(design, budget, length):
    masks = design.draw(uniforms(design, budget), length, budget)
    assert masks.mask.shape == (budget.n, length)
    assert masks.form == design.form
    assert math.isclose(masks.weight.sum(), 1)
    # n_yt masks share their level.
    assert (masks.level.reshape(budget.n_t, budget.n_yt) == masks.level[:: budget.n_yt, None]).all()


@pytest.mark.parametrize("design", MEMBERS)
def test_same_address_same_masks_and_no_global_generator(design):
    before = np.random.get_state()[1].copy()
    budget = Budget(4, 2)
    first, again, other = (design.draw(uniforms(design, budget, r), 9, budget).mask for r in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()
    assert (np.random.get_state()[1] == before).all()


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_law_is_a_law(design, budget):
    if design.form == "time" and not math.isfinite(1 / design.eps if design.eps else math.inf):
        with pytest.raises(ValueError, match="infinite"):
            design.law(5, budget)
        return
    blocks = design.law(5, budget)
    for block in blocks:
        assert math.isclose(block.prob.sum(), 1)
        assert block.level.shape == block.weight.shape == (len(block.prob), block.level.shape[1])
    assert math.isclose(sum(float(b.prob @ b.weight.sum(1)) for b in blocks), 1)
    assert sum(b.level.shape[1] for b in blocks) == budget.n_t


@pytest.mark.parametrize("design", [p for p in MEMBERS if p.values[0].form == "count" and p.values[0].iid_timesteps])
def test_marginal_law_of_each_draw(design):
    """Levels are quantile functions of the level stream: feed them a fine grid instead and compare with the law."""
    length, points = 7, 70_000

    class Grid:
        def level(self, *shape):
            return ((np.arange(points) + 0.5) / points)[: shape[0]]

    level = design.timesteps(Grid(), length, points).level
    (block, *_) = design.law(length, Budget(1, 1))
    share = [(level == x).mean() for x in block.level[:, 0]]
    assert np.allclose(share, block.prob, atol=2 / points)


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("weighting", WEIGHTINGS.names())
@pytest.mark.parametrize(("length", "budget"), [(2, Budget(2, 1)), (3, Budget(1, 2)), (3, Budget(2, 2))], ids=str)
def test_bias_is_as_declared_by_all_joint_draws(design, weighting, length, budget):
    """Expectation over every joint draw, for an arbitrary table, against the ELBO by its definition."""
    if design.form != "count":
        with pytest.raises(ValueError, match="no finite joint law"):
            next(iter(design.joint(length, budget)))
        return
    table = np.random.default_rng(length).normal(size=(2**length, length))
    by_count = [[] for _ in range(length + 1)]
    for bits in range(1, 2**length):
        tokens = [i for i in range(length) if bits >> i & 1]
        by_count[len(tokens)].append(length / len(tokens) * sum(table[bits, i] for i in tokens))
    truth = sum(sum(x) / len(x) for x in by_count[1:]) / length

    def terms_of(mask):
        return np.where(mask, table[mask @ (1 << np.arange(length))], 0)

    law = estimator_law(terms_of, length, design, budget, WEIGHTINGS[weighting]())
    assert math.isclose(law.prob.sum(), 1)
    assert design.unbiased == math.isclose(law.mean, truth, rel_tol=1e-12, abs_tol=1e-12)


def test_plain_weights_are_those_of_the_equations():
    budget = Budget(3, 2)
    for design, factor in ((DESIGNS["iid_count"](), 6.0), (DESIGNS["iid_time"](0.2), 1.0)):
        masks = design.draw(uniforms(design, budget), 6, budget)
        expected = np.where(masks.mask, factor / masks.level[:, None] / budget.n, 0)
        assert np.allclose(Plain().weights(masks), expected, rtol=1e-15)


def test_a_floor_out_of_range_is_refused():
    for eps in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"\[0, 1\)"):
            DESIGNS["iid_time"](eps)


@pytest.mark.statistical(rate=1e-9, detects="a token whose masking probability is off by 0.02")
def test_masks_are_uniform_subsets_and_bernoulli():
    """Hoeffding on 6 tokens and two forms: 12 two-sided tests, each at 1e-9 / 12."""
    budget, repeats = Budget(16, 1), 4000
    bound = math.sqrt(math.log(2 * 12 / 1e-9) / (2 * repeats * budget.n))
    assert bound < 0.02
    for design, mean in ((DESIGNS["iid_count"](), 7 / 12), (DESIGNS["iid_time"](0.0), 0.5)):
        draws = [design.draw(uniforms(design, budget, r), 6, budget).mask for r in range(repeats)]
        assert np.abs(np.concatenate(draws).mean(0) - mean).max() < bound
