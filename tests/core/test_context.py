"""Context weights against their formula written out, and their debiasing enumerated: joint draws and copies."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

from vrpo_theory import DESIGNS, MODELS, WEIGHTINGS, Budget, Masks, Scheme
from vrpo_theory.exact import estimator_law
from vrpo_theory.weightings import context
from vrpo_theory.weightings.context import ContextWeights
from vrpo_theory.weightings.plain import PLAIN

STATES = list(itertools.product((0, 1), repeat=2))


def covariance():
    """Of a token's effects in the four neighbourhoods, by its definition."""
    x = [np.array([1, a - 0.5, b - 0.5, (a - 0.5) * (b - 0.5)]) for a, b in STATES]
    return np.array([[float(p @ np.diag([3, 2, 2, 1]) @ q) for q in x] for p in x])


def effects(held, alpha, length):
    """e of a token from the neighbourhood that each mask holds it in, None where it does not."""
    share = np.zeros(4)
    for left, right in itertools.product(range(length - 1), repeat=2):
        for out in range(length) if left != right else ():  # tokens 0..out-1 of the other length - 1 are visible
            share[STATES.index((int(left < out), int(right < out)))] += 1 / length / (length - 1) / (length - 2)
    seen = np.diag([sum(state == s for state in held) for s in STATES])
    total = [sum(a for state, a in zip(held, alpha, strict=True) if state == s) for s in STATES]
    return np.linalg.solve(np.linalg.inv(covariance()) + seen, share - total)


def states(mask, left, token, right):
    return [(int(not row[left]), int(not row[right])) if row[token] else None for row in mask]


def written_out(masks, debiased=True):
    """The docstring's formula in loops."""
    mask, (n, length) = masks.mask, masks.mask.shape
    row_sum = PLAIN.weights(masks).sum(1)
    member = mask.astype(float)
    alpha = WEIGHTINGS["two_way"](33 / 48).layout(member, row_sum).alpha
    own = [states(mask, i - 1, i, (i + 1) % length) for i in range(length)]
    others = [states(mask, *triple) for triple in itertools.permutations(range(length), 3)]
    r = np.zeros((n, length))
    for k, i in zip(*np.nonzero(mask), strict=True):
        c = STATES.index(own[i][k])
        alike = [effects(held, alpha, length)[c] for held in others if held[k] == own[i][k]]
        r[k, i] = effects(own[i], alpha, length)[c] - (np.mean(alike) if debiased else 0)
    count = mask.sum(1, keepdims=True)
    return member * (row_sum[:, None] / count + r - r.sum(1, keepdims=True) / count)


def drawn(length, budget, design="balanced_by_length", repeat=0):
    scheme = Scheme(DESIGNS[design](), budget=budget)
    return scheme.draw(MODELS["markov"].case(0, length).pair, seed=1, repeat=repeat)[0].masks


@pytest.mark.parametrize(("length", "n"), [(3, 4), (5, 3), (6, 5)])
def test_weights_are_those_of_the_formula(length, n):
    masks = drawn(length, Budget(n))
    assert np.allclose(ContextWeights().weights(masks), written_out(masks), rtol=1e-9, atol=1e-11)


@dataclass(frozen=True)
class Copied(ContextWeights):
    """Context weights whose one copy is given."""

    order: tuple = ()

    def _places(self, length, key):
        return [np.stack([np.arange(length), self.order])]


def table_of(length):
    table = np.random.default_rng(length).normal(size=(2**length, length))
    return lambda mask: np.where(mask, table[mask @ (1 << np.arange(length))], 0)


@pytest.mark.parametrize("design", ["strata", "balanced_descending", "balanced_by_length"])
@pytest.mark.parametrize(("length", "n"), [(3, 3), (4, 2), pytest.param(5, 2, marks=pytest.mark.soak)])
def test_debiasing_is_exact_over_all_joint_draws_and_copies(design, length, n):
    """One permutation stands in; read round, those that begin with token 0 are all of them."""
    scheme = Scheme(DESIGNS[design](), budget=Budget(n))
    truth = estimator_law(table_of(length), length, scheme).mean
    orders = [(0, *rest) for rest in itertools.permutations(range(1, length))]
    found = [
        estimator_law(table_of(length), length, Scheme(scheme.design, Copied(order=order), scheme.budget)).mean
        for order in orders
    ]
    assert math.isclose(np.mean(found), truth, rel_tol=1e-12, abs_tol=1e-12)


def test_without_debiasing_the_weights_are_biased():
    """The negative control: the same weights less W, over all joint draws."""
    design, budget, terms_of = DESIGNS["strata"](), Budget(2), table_of(4)
    bias = 0.0
    for prob, masks in design.joint(4, budget):
        terms = terms_of(masks.mask)
        bias += prob * ((written_out(masks, debiased=False) - PLAIN.weights(masks)) * terms).sum()
    assert abs(bias) > 0.01


def test_a_long_response_draws_its_stand_ins_apart_from_the_masks():
    masks = drawn(20, Budget(4))
    weights = ContextWeights().weights(masks)
    assert (weights == ContextWeights().weights(masks)).all()
    other = Masks(masks.mask, masks.form, masks.level, masks.block, masks.weight, b"another key, 16B")
    assert not np.allclose(weights, ContextWeights().weights(other), rtol=1e-3)
    assert np.allclose(weights, ContextWeights(2**17).weights(other), rtol=0.2, atol=0.2)
    with pytest.raises(ValueError, match="with their key"):
        ContextWeights().weights(Masks(masks.mask, masks.form, masks.level, masks.block, masks.weight))


def test_listing_triples_is_the_limit_of_drawing_them(monkeypatch):
    masks = drawn(8, Budget(4))
    listed = ContextWeights().weights(masks)
    monkeypatch.setattr(context, "LISTED", 0)
    assert np.allclose(ContextWeights(2**18).weights(masks), listed, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("length", [1, 2])
def test_fewer_than_three_tokens_have_two_way_weights(length):
    masks = drawn(length, Budget(4))
    assert (ContextWeights().weights(masks) == WEIGHTINGS["two_way"](33 / 48).weights(masks)).all()
