"""The exhibit of blocks: its cells are what enumeration gives, and whole responses are those of the Markov toy."""

import pytest

from vrpo_theory import EXHIBITS, MODELS, exact
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.blocks import SCHEMES

LENGTH, BETA = 12, 0.2


@pytest.fixture(scope="module")
def cells():
    cases = {f"blocks of {b}": [MODELS["block_markov"].case(s, LENGTH, b) for s in range(2)] for b in (1, 4, LENGTH)}
    return EXHIBITS["blocks"].documents(Context(cases=cases))


def value(cells, row, **column):
    (found,) = [c["value"] for c in cells if c["row"] == row and c["column"] == column]
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_variances_are_those_of_enumeration(cells, scheme):
    answers = exact.tabulate([MODELS["block_markov"].case(s, LENGTH, 4) for s in range(2)])
    each = [exact.margin_variance(exact.block_profiles(a), SCHEMES[scheme]) for a in answers]
    assert value(cells, "var_score", b=4, scheme=scheme) == pytest.approx(BETA**2 * sum(each) / 2, rel=1e-9)


def test_one_block_is_the_whole_response(cells):
    answers = exact.tabulate([MODELS["markov"].case(s, LENGTH) for s in range(2)])
    for name, scheme in SCHEMES.items():
        each = [exact.margin_variance(exact.profiles(a), scheme) for a in answers]
        assert value(cells, "var_score", b=LENGTH, scheme=name) == pytest.approx(BETA**2 * sum(each) / 2, rel=1e-9)


def test_single_tokens_need_no_sampling(cells):
    assert value(cells, "passes_exact", b=1) == 1
    assert all(value(cells, "var_score", b=1, scheme=name) == pytest.approx(0, abs=1e-15) for name in SCHEMES)
