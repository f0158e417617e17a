"""Estimators of papers on block diffusion: what they are biased by, and what they add to the variance."""

import itertools
import math

import numpy as np
import pytest

from vrpo_theory import DESIGNS, MODELS, WEIGHTINGS, Masks, Scheme, exact
from vrpo_theory.randomness import Address
from vrpo_theory.types import ROLES, Budget

(ANSWERS,) = exact.tabulate([MODELS["tabular"].case(3, 4)])
REDRAWN = DESIGNS["redrawn"]


@pytest.mark.parametrize("eps", [1e-3, 0.2])
def test_empty_masks_drawn_again_leave_the_mean_over_their_probability(eps):
    profiles = exact.profiles(ANSWERS)
    once, again = (exact.margin_mean(profiles, Scheme(DESIGNS[d](eps))) for d in ("iid_time", "redrawn"))
    kept = 1 - (1 - eps) ** 4 / 5
    assert again == pytest.approx(once / kept, rel=1e-9)
    assert (1 / kept == pytest.approx(5 / 4, rel=2e-3)) == (eps == 1e-3)  # (L + 1)/L as eps vanishes


@pytest.mark.parametrize("eps", [0.0, 0.3])
def test_t_of_masks_that_are_not_empty(eps):
    """The distribution function at the drawn t is the uniform, whose density is that of t given some masked token."""
    design, length = REDRAWN(eps), 5
    uniforms = Address(0, "", 7, 1, b"").uniforms()
    t = design.timesteps(uniforms, length, 7).level
    u = 1 - Address(0, "", 7, 1, b"").uniforms().level(7)
    grid = eps + (1 - eps) * (np.arange(200_000) + 0.5) / 200_000
    density = 1 - (1 - grid) ** length
    below = np.cumsum(density) / density.sum()
    assert np.interp(t, grid, below) == pytest.approx(u, abs=1e-5)


def test_masks_that_are_not_empty_have_their_conditional_law():
    """Every pair of uniforms on a fine grid: each mask has its probability at t over that of some masked token."""
    t, points = 0.3, (np.arange(200) + 0.5) / 200
    uniforms = np.array(list(itertools.product(points, points)))
    masks = REDRAWN(0.1).cover(uniforms, np.full(len(uniforms), t))
    assert masks.any(1).all()
    found = np.bincount(masks @ [1, 2], minlength=4) / len(masks)
    expected = np.array([0, t * (1 - t), t * (1 - t), t * t]) / (1 - (1 - t) ** 2)
    assert found == pytest.approx(expected, abs=5e-3)


def test_one_token_of_a_mask_is_any_with_the_weight_of_all():
    weighting, mask = WEIGHTINGS["newly_unmasked"](), [[True, True, False, True]]
    rows = [
        weighting.weights(Masks(mask, "count", [3], [0], [1.0], key=k.to_bytes(16, "little")))[0] for k in range(64)
    ]
    assert {tuple(row) for row in rows} == {tuple(4.0 * np.eye(4)[i]) for i in (0, 1, 3)}
    assert weighting.weights(Masks(mask, "count", [3], [0], [1.0])).tolist() == [[4 / 3, 4 / 3, 0, 4 / 3]]


def test_variance_of_newly_unmasked_tokens_is_that_of_every_mask_and_token():
    policy, reference = (exact.table_of(ANSWERS, role, "chosen") for role in ROLES)
    profile, length = exact.newly_unmasked_profile(policy, reference), 4
    terms = policy.log_prob - reference.log_prob
    values = [[length * terms[m, i] for m in np.flatnonzero(policy.counts == c) for i in np.flatnonzero(terms[m])]
              for c in range(1, length + 1)]  # fmt: skip
    mean = np.mean([np.mean(v) for v in values])
    variance = np.mean([np.mean((np.array(v) - mean) ** 2) for v in values])
    found = {"chosen": profile}
    scheme = Scheme(budget=Budget(1))
    assert exact.margin_mean(found, scheme, sides=["chosen"]) == pytest.approx(mean, rel=1e-12)
    assert exact.margin_variance(found, scheme, sides=["chosen"]) == pytest.approx(variance, rel=1e-12)
    assert mean == pytest.approx(policy.elbo - reference.elbo, rel=1e-12)


def test_newly_unmasked_tokens_of_chains_at_any_length():
    (answers,) = exact.tabulate([MODELS["block_markov"].case(1, 7, 8)])
    case = MODELS["block_markov"].case(1, 7, 8)
    for side in ("chosen", "rejected"):
        (part,) = case.parts(side)
        table = exact.newly_unmasked_profile(*(exact.table_of(answers, role, side) for role in ROLES))
        gaps = exact.newly_unmasked_gap_profile(part, case.policy, case.reference)
        assert gaps.mean == pytest.approx(table.mean, abs=1e-12)
        assert gaps.covariance == pytest.approx(table.covariance, abs=1e-11)


def test_the_logarithm_of_a_trajectory_is_unbiased_and_its_ratio_is_not():
    """dTRPO's claim (arXiv 2603.18806), enumerated: every order of four tokens, every step of it."""
    policy, reference = (exact.table_of(ANSWERS, role, "chosen").log_prob for role in ROLES)
    logs = []
    for order in itertools.permutations(range(4)):
        masked, steps = 15, []
        for token in order:
            steps.append(policy[masked, token] - reference[masked, token])
            masked ^= 1 << token
        whole = math.fsum(steps)
        assert np.mean(4 * np.array(steps)) == pytest.approx(whole, abs=1e-12)  # one step, times T: its logarithm
        assert np.mean(np.exp(4 * np.array(steps))) > 1.02 * math.exp(whole)  # its ratio: too large, every time
        logs.append(whole)
    gain = exact.elbo_of(ANSWERS, "policy", "chosen") - exact.elbo_of(ANSWERS, "reference", "chosen")
    assert np.mean(logs) == pytest.approx(gain, rel=1e-12)
