"""Every design and weighting keeps its promise on models of block diffusion: the sum over blocks, each with its own."""

import numpy as np
import pytest

from tests.contracts.test_designs import COUNT_FORM, MEMBERS, WEIGHTS, compatible, law
from vrpo_theory import MODELS, Scheme, exact
from vrpo_theory.couplings import Coupling
from vrpo_theory.types import Budget

(ANSWERS,) = exact.tabulate([MODELS["block_tabular"].case(0, 8)])
TABLES = exact.tables_of(ANSWERS, "policy", "chosen")
PROFILES = exact.block_profiles(ANSWERS)
SHARINGS = (False, True, "cyclic", "stratified")


def test_the_blocks_are_of_several_lengths():
    assert [table.response.length for table in TABLES] == [2, 4, 2]


@pytest.mark.parametrize("design", MEMBERS)
def test_bias_over_blocks_is_as_declared_by_the_laws(design):
    if not law(design, 4, design.split(3)):
        pytest.skip(f"{design.name} has an infinite moment, so no mean")
    budgets = [design.split(n) for n in (1, 3, 4, 8)]
    means = [exact.margin_mean(PROFILES, Scheme(design, budget=budget)) for budget in budgets]
    worst = np.abs(np.array(means) - exact.true_margin(ANSWERS)).max()
    assert (worst < 1e-9) == design.unbiased
    assert design.unbiased or worst > 1e-4  # floors of t show less on short blocks


@pytest.mark.parametrize("design", COUNT_FORM)
@pytest.mark.parametrize("weighting", WEIGHTS)
def test_bias_over_blocks_is_as_declared_by_all_joint_draws(design, weighting):
    if not compatible(design, weighting):
        pytest.skip(f"{weighting.name} is refused on {design.name}")

    def mean(weights):
        scheme, found = Scheme(design, weights, design.split(2)), []
        for table in TABLES:
            place = 1 << np.arange(table.response.length)
            found.append(exact.estimator_law(lambda mask: table.log_prob[mask @ place], len(place), scheme).mean)  # noqa: B023
        return sum(found)

    expected = exact.elbo_of(ANSWERS, "policy", "chosen") if design.unbiased else mean(Scheme().weighting)
    assert mean(weighting) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("design", [p for p in COUNT_FORM if p.values[0].independent_masks])
def test_variance_over_blocks_is_that_of_all_joint_draws(design):
    class OneModel(Coupling):
        groups = (tuple(c for c in Coupling(shared=False).contrasts if c.coefficients == (1.0, 0.0)),)

    scheme, brute = Scheme(design, budget=design.split(2), coupling=OneModel()), 0.0
    for table in TABLES:
        place = 1 << np.arange(table.response.length)
        brute += exact.estimator_law(lambda mask: table.log_prob[mask @ place], len(place), scheme).variance  # noqa: B023
    assert exact.margin_variance(PROFILES, scheme, sides=["chosen"]) == pytest.approx(brute, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("design", MEMBERS)
@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_block_alone_has_the_same_law_however_levels_are_shared(design, sharing):
    """One block: nothing to share with, so the variance is the same, or sharing is refused by name."""
    profiles = {side: blocks[:1] for side, blocks in PROFILES.items()}
    if not law(design, 4, design.split(4)) or not design.independent_masks:
        pytest.skip(f"{design.name} has no finite variance, or none that follows from profiles")
    own, other = (
        exact.margin_variance(profiles, Scheme(design, budget=design.split(4), coupling=Coupling(blocks_shared=how)))
        for how in (False, sharing)
    )
    assert other == pytest.approx(own, rel=1e-12)


@pytest.mark.parametrize("text", ["iid_count()", "strata()", "power_strata()"])
def test_spreading_counts_over_blocks_never_adds_variance_to_equal_blocks(text):
    """Strata of one uniform give equal functions a covariance of at most 0; one timestep for all, at least 0."""
    profiles = {side: [blocks[1]] * 4 for side, blocks in PROFILES.items()}
    budget = Budget(2)
    found = [
        exact.margin_variance(profiles, Scheme.parse(f"{text}, plain(), n_t={budget.n_t}, blocks_shared={how!r}"))
        for how in ("stratified", False, True)
    ]
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]
