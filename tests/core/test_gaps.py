"""The gap recursion against enumeration, rational arithmetic, and the chain's own likelihood."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from vrpo_theory import MODELS, profiles, tabulate
from vrpo_theory.exact import gap_profile
from vrpo_theory.exact.gaps import path_moments

MARKOV = MODELS["markov"]


@pytest.mark.parametrize("length", [1, 2, 3, 6, 9, 12])
def test_profile_equals_enumeration(length):
    case = MARKOV.case(1, length)
    (answers,) = tabulate([case], batch_tokens=10**6)
    for side, known in profiles(answers).items():
        found = gap_profile(case.pair.side(side), case.policy, case.reference)
        assert np.abs(found.mean - known.mean).max() < 1e-10
        assert np.abs(found.covariance - known.covariance).max() < 1e-10


def test_moments_in_rational_arithmetic():
    """Seven nodes, every path listed, no rounding on the other side."""
    rng = np.random.default_rng(0)
    x, y = (np.triu(rng.integers(-9, 9, (7, 7)) / 4, 1) for _ in range(2))
    found = path_moments(x, y)
    for left_out in range(6):
        paths = [(0, *p, 6) for p in itertools.combinations(range(1, 6), 5 - left_out)]
        sums = [[sum(Fraction(g[a, b]) for a, b in itertools.pairwise(p)) for g in (x, y)] for p in paths]
        exact = [
            sum(f(a, b) for a, b in sums) / Fraction(len(sums))
            for f in (
                lambda a, b: 1, lambda a, b: a, lambda a, b: b,
                lambda a, b: a * a, lambda a, b: a * b, lambda a, b: b * b,
            )
        ]  # fmt: skip
        assert np.allclose(found[:, left_out], [float(e) for e in exact], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("length", [64, 256, pytest.param(1024, marks=pytest.mark.soak)])
def test_exact_conditionals_have_a_tight_bound_at_any_length(length):
    case = MARKOV.case(0, length)
    found = gap_profile(case.pair.chosen, case.policy, case.reference)
    elbo = math.fsum(found.mean[1:, 1] / np.arange(1, length + 1))
    p, _ = MARKOV.chain(0)
    ids = case.pair.chosen.ids
    stationary = np.linalg.solve(np.eye(len(p)) - p.T + 1, np.ones(len(p)))
    exact = math.log(stationary[ids[0]]) + math.fsum(math.log(p[a, b]) for a, b in itertools.pairwise(ids))
    assert math.isclose(elbo, exact, rel_tol=1e-9)
    assert np.isfinite(found.covariance).all()
    assert np.linalg.eigvalsh(found.covariance).min() > -1e-9
