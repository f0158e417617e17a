"""The arena: exact biases against enumeration, estimands by hand, and bounds that hold."""

import numpy as np
import pytest

from vrpo_theory import EXHIBITS, MODELS, Scheme, exact
from vrpo_theory.exact.enumeration import all_masks, table_of
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.arena import N
from vrpo_theory.reproduce.exhibits.arena.entrants import OURS, rivals
from vrpo_theory.reproduce.exhibits.arena.evidence import bracket
from vrpo_theory.reproduce.exhibits.arena.tabled import POWER, TABLED, upper_bound
from vrpo_theory.types import Budget

CASES = [MODELS["tabular"].case(seed, 4) for seed in range(2)]
ANSWERS = exact.tabulate(CASES)
BIASED = {
    "P-POTS, oracle", "MIRROR", "BD3-LM", "MDLM", "coupled-GRPO", "coupled-GRPO's code", "GDPO, floor(tL)",
    "LLaDA's and DARE's grid", *TABLED,
}  # fmt: skip


@pytest.fixture(scope="module")
def cells():
    return EXHIBITS["arena"].documents(Context(cases={"rough table": CASES}), repeats=40)


def select(cells, row):
    return {c["column"]["entrant"]: c for c in cells if c["row"] == row}


def test_everybody_enters_and_the_biased_are_seen(cells):
    assert list(select(cells, "passes")) == [*rivals(), *TABLED]
    biased = {name for name, c in select(cells, "bias").items() if c["value"] > 1e-9}
    assert biased <= BIASED
    assert biased >= BIASED - {"LLaDA's and DARE's grid"}
    assert set(select(cells, "bias_in_errors")) == biased


def test_places_are_the_order_of_the_unbiased(cells):
    over = {name: c["value"] for name, c in select(cells, "variance_over_ours").items()} | {OURS: 1.0}
    place = {name: c["value"] for name, c in select(cells, "place").items()}
    assert sorted(place, key=place.get) == sorted(place, key=over.get)
    assert sorted(place.values()) == list(range(1, len(place) + 1))


def test_a_rounded_grid_is_biased_where_the_statement_says():
    (case,) = [MODELS["markov"].case(0, 12)]
    known = exact.profiles(*exact.tabulate([case]))
    scheme = rivals()["LLaDA's and DARE's grid"].entrant.scheme(N)
    assert abs(exact.margin_mean(known, scheme) - exact.margin_mean(known, Scheme())) > 1e-4


def test_the_end_as_context_is_the_elbo_of_the_others():
    """Mean and variance over all masks that leave the last token visible, weighed by hand."""
    found = TABLED["Dream's evaluation"].moments(ANSWERS[0], N, 0)
    mean = second = 0.0
    for side, sign in (("chosen", 1), ("rejected", -1)):
        policy, reference = (table_of(ANSWERS[0], role, side) for role in ("policy", "reference"))
        own = square = 0.0
        for mask, value in zip(all_masks(4), policy.sums - reference.sums, strict=True):
            count = mask.sum()
            if count and not mask[-1]:
                chance = 1 / 3 / (3, 3, 1)[count - 1]
                own, square = own + chance * 3 / count * value, square + chance * (3 / count * value) ** 2
        mean, second = mean + sign * own, second + (square - own**2) / N
    assert (found.mean, found.variance.value) == pytest.approx((mean, second), rel=1e-12)


def test_the_full_mask_is_one_pass():
    found = TABLED["d1"].moments(ANSWERS[0], N, 0)
    sums = [
        table_of(ANSWERS[0], role, side).sums[-1] for side in ("chosen", "rejected") for role in ("policy", "reference")
    ]
    assert found.mean == pytest.approx(sums[0] - sums[1] - sums[2] + sums[3])
    assert (found.variance.value, found.passes) == (0, 1)


@pytest.mark.parametrize("n", [1, 2])
def test_the_mean_of_a_log_mean_is_that_of_all_joint_draws(n):
    (answer,) = exact.tabulate([MODELS["tabular"].case(0, 3)])
    expected = 0.0
    for role in ("policy", "reference"):
        for side in ("chosen", "rejected"):
            table = table_of(answer, role, side)
            sign = (1 if role == "policy" else -1) * (1 if side == "chosen" else -1)
            for prob, masks in Scheme(budget=Budget(n)).design.joint(3, Budget(n)):
                rows = masks.mask @ (1 << np.arange(3))
                held = np.where(masks.mask, np.exp(POWER * table.log_prob[rows]), 0)
                means = (held * (3 / masks.level)[:, None]).mean(0)
                expected += sign * prob * np.log(means[means > 0]).sum() / POWER
    assert TABLED["SPG, upper bound"].moments(answer, n, 2).mean == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_upper_bounds_bound(seed):
    """At power L by Hoelder's inequality; smaller powers are smaller, and at 1 the bound is of no mean of products."""
    (answer,) = exact.tabulate([MODELS["tabular"].case(seed, 4)])
    for role in ("policy", "reference"):
        table = table_of(answer, role, "chosen")
        bounds = [upper_bound(table, power) for power in (1.0, POWER, 4.0, 8.0)]
        assert bounds == sorted(bounds)
        assert table.elbo <= table.log_likelihood <= bounds[2]
    found = bracket(answer)
    assert found.holds
    assert found.low <= found.elbo <= found.high
