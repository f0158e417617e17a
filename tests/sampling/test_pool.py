"""One pool for every configuration: unbiased, as precise as repeats at four times the price; gradients by sketches."""

import itertools
import math

import numpy as np
import pytest
import torch

from vrpo_theory import (
    DESIGNS,
    MODELS,
    Budget,
    Coupling,
    Scheme,
    margin_variance,
    profiles,
    replicate,
    tabulate,
    true_margin,
)
from vrpo_theory.exact import (
    gradient_grams,
    loss_gradient_moments,
    loss_moments,
    score_gradient_moments,
    score_law,
)
from vrpo_theory.numerics import variance_estimate
from vrpo_theory.sampling import Pool, draw_gradient_pool, draw_pools, sketch

COUNT, BETA = DESIGNS["iid_count"](), 0.2
COLUMNS = [(4, 1, True), (1, 1, True), (8, 1, True), (1, 4, True), (2, 2, True), (4, 1, False)]
CASES = [MODELS["tabular"].case(seed, 6) for seed in range(6)]
ANSWERS = tabulate(CASES)


def scheme(n_t, n_yt, shared):
    return Scheme(budget=Budget(n_t, n_yt), coupling=Coupling(shared))


def exact(column):
    n_t, n_yt, shared = column
    return [margin_variance(profiles(a), scheme(n_t, n_yt, shared)) for a in ANSWERS]


def test_components_are_unbiased_over_all_pools():
    """L = 2, three timesteps of two masks: every draw of one response listed, both sharings, against exact values."""
    (answers,) = tabulate([MODELS["tabular"].case(3, 2)])
    tables = [answers.model(r)[answers.pair.chosen].sums for r in ("policy", "reference")]
    levels = {1: [(1, 2), (2, 2)], 2: [(3, 1)]}
    draws = [
        (0.5**3 / math.prod(len(levels[count]) ** 2 for count in counts), rows)
        for counts in itertools.product((1, 2), repeat=3)
        for rows in itertools.product(*(itertools.product(levels[count], repeat=2) for count in counts))
    ]
    still = np.zeros((3, 2, 2))
    known = profiles(answers)
    for shared, budget in itertools.product((True, False), (Budget(1, 1), Budget(4, 2))):
        mean = 0.0
        for prob, rows in draws:
            terms = np.array([[[factor * t[bits] for t in tables] for bits, factor in step] for step in rows])
            pool = Pool({"chosen": terms, "rejected": still})
            mean += prob * pool.score_variance(Scheme(budget=budget, coupling=Coupling(shared)), 1.0).value
        truth = margin_variance(known, Scheme(budget=budget, coupling=Coupling(shared)), sides=("chosen",))
        assert mean == pytest.approx(truth, rel=1e-12)


@pytest.mark.statistical(rate=2e-8, detects="a variance off by a fifth")
def test_every_column_from_one_pool():
    pools = draw_pools(ANSWERS, Budget(200, 4), seed=1)
    for column in COLUMNS:
        n_t, n_yt, shared = column
        found = [p.score_variance(scheme(n_t, n_yt, shared), 1.0) for p in pools]
        error = math.hypot(*(f.stderr for f in found))
        assert abs(sum(f.value for f in found) - sum(exact(column))) < 6.2 * error < 0.6 * sum(exact(column))


@pytest.mark.statistical(rate=1e-9, detects="a pool that needs more than a quarter of the paper's forward passes")
@pytest.mark.parametrize("columns", [COLUMNS[:1], pytest.param(COLUMNS[1:], marks=pytest.mark.soak)])
def test_a_pool_is_as_precise_as_repeats_at_four_times_the_price(columns):
    """Root mean square errors of the mean over pairs, 40 pools of 192 evaluations against 40 times 8 repeats of 800."""
    budget = Budget(12, 4)
    passes = 8 * sum(2 * 2 * n_t * n_yt for n_t, n_yt, _ in COLUMNS)
    assert passes / (2 * 2 * budget.n) > 4
    pools = [draw_pools(ANSWERS, budget, seed=seed) for seed in range(40)]
    for column in columns:
        n_t, n_yt, shared = column
        truth = np.mean(exact(column))
        pooled = [np.mean([p.score_variance(scheme(n_t, n_yt, shared), 1.0).value for p in ps]) for ps in pools]
        paper = [
            np.mean([
                variance_estimate([
                    m.mean for m in replicate(a, scheme(n_t, n_yt, shared), 8, seed=seed)
                ]).value
                for a in ANSWERS
            ])
            for seed in range(40)
        ]  # fmt: skip
        rms = [math.sqrt(np.mean((np.array(x) - truth) ** 2)) for x in (pooled, paper)]
        assert rms[0] < rms[1]


@pytest.mark.parametrize("columns", [COLUMNS[5:], pytest.param(COLUMNS[:5], marks=pytest.mark.soak)])
def test_losses_come_near_the_exact_law(columns):
    pools = draw_pools(ANSWERS, Budget(150, 4), seed=2)
    for n_t, n_yt, shared in columns:
        budget, coupling = Budget(n_t, n_yt), Coupling(shared)
        found = [
            sum(e.value for e in part)
            for part in zip(*(p.losses(Scheme(budget=budget, coupling=coupling), 1.0) for p in pools), strict=True)
        ]
        laws = [
            loss_moments(score_law(a, Scheme(budget=budget, coupling=coupling), 1.0), true_margin(a)) for a in ANSWERS
        ]
        assert found[0] == pytest.approx(sum(m.bias for m in laws), rel=0.25)
        assert found[1] == pytest.approx(sum(m.variance for m in laws), rel=0.25)


@pytest.mark.parametrize("budget", [Budget(2, 4), Budget(8, 1)], ids=str)
def test_pools_that_cannot_tell_are_refused(budget):
    with pytest.raises(ValueError, match="3 timesteps of 2 masks"):
        draw_pools(ANSWERS, budget, seed=0)


def vectors(count, seed=0):
    rng = np.random.default_rng(seed)
    return [[torch.tensor(rng.normal(size=s)) for s in ((7, 5), (40,), (3, 4, 5))] for _ in range(count)]


def test_sketches_are_linear_and_addressed():
    a, b = vectors(2)
    both = [x + 2 * y for x, y in zip(a, b, strict=True)]
    assert np.allclose(sketch(both, 16), sketch(a, 16) + 2 * sketch(b, 16))
    assert (sketch(a, 16) == sketch(a, 16)).all()
    assert (sketch(a, 16, seed=1) != sketch(a, 16)).any()
    before = torch.get_rng_state().clone()
    sketch(a)
    assert (torch.get_rng_state() == before).all()


@pytest.mark.statistical(rate=1e-9, detects="squared lengths off by 3%")
def test_sketches_keep_squared_lengths_on_average():
    """A cell more or less changes a length by 2/size of its square: 4,000 seeds of 32 cells."""
    (a,) = vectors(1)
    truth = sum(float((x**2).sum()) for x in a)
    found = np.array([np.sum(sketch(a, 32, seed=s) ** 2) for s in range(4000)])
    assert abs(found.mean() / truth - 1) < 6.2 * found.std() / truth / math.sqrt(4000) < 0.03


@pytest.mark.parametrize("split", [lambda x: [torch.cat([x, -x])], lambda x: [x, -x]], ids=["chunks", "tensors"])
def test_every_chunk_and_tensor_has_cells_of_its_own(monkeypatch, split):
    """Opposite halves cancel in shared cells; in cells of their own nearly all of 20 entries stay, in 4,096 cells."""
    monkeypatch.setattr("vrpo_theory.sampling.sketches.CHUNK", 10)
    found = sketch(split(torch.ones(10)), 4096)
    assert np.count_nonzero(found) >= 16


def test_nothing_to_sketch_is_an_error():
    with pytest.raises(ValueError, match="nothing to sketch"):
        sketch([])


@pytest.mark.statistical(rate=1e-9, detects="a gradient variance off by a quarter")
def test_gradient_variances_from_a_pool():
    """200 timesteps of a small toy: Lemma 5 (ii), plug-in and leave-one-out, against exact moments."""
    case = MODELS["tabular"].case(0, 4)
    (answers,) = tabulate([case])
    (gram,) = gradient_grams(case, ("full",))
    (pool,) = draw_pools([case], Budget(200, 4), seed=3)
    found = draw_gradient_pool(case, pool, seed=3)
    for n_t, n_yt, shared in COLUMNS:
        budget, coupling = Budget(n_t, n_yt), Coupling(shared)
        truth = score_gradient_moments(gram, BETA).variance(budget)
        assert found.score_gradient_variance(budget, BETA) == pytest.approx(truth, rel=0.25)
        truth = loss_gradient_moments(answers, gram, Scheme(budget=budget, coupling=coupling), BETA).variance
        assert found.loss_gradient_variance(
            Scheme(budget=budget, coupling=coupling), BETA, seed=0
        ).value == pytest.approx(truth, rel=0.3)
    plug_in, left_out = (
        found.loss_gradient_variance(Scheme(budget=Budget(8)), BETA, seed=0, estimator=estimator).value
        for estimator in ("plug-in", "leave-one-out")
    )
    assert left_out == pytest.approx(plug_in, rel=0.1)


def test_a_gradient_pool_can_use_part_of_its_pool():
    case = MODELS["tabular"].case(0, 3)
    (pool,) = draw_pools([case], Budget(5, 2), seed=3)
    part, whole = (draw_gradient_pool(case, pool, seed=3, steps=steps) for steps in (3, None))
    assert part.sketches["chosen"].shape[:2] == (3, 2)
    assert (part.sketches["chosen"] == whole.sketches["chosen"][:3]).all()
    assert (part.pool.terms["rejected"] == pool.terms["rejected"][:3]).all()
