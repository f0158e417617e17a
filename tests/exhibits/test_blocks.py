"""The exhibit of blocks: its cells are what enumeration gives, and whole responses are those of the Markov toy."""

import pytest

from vrpo_theory import EXHIBITS, MODELS, exact
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits.blocks import NEWLY_UNMASKED, SCHEMES, TARGET, VRPO
from vrpo_theory.types import ROLES, SIDES

LENGTH, BETA = 12, 0.2


@pytest.fixture(scope="module")
def cells():
    cases = {f"blocks of {b}": [MODELS["block_markov"].case(s, LENGTH, b) for s in range(2)] for b in (1, 4, LENGTH)}
    return EXHIBITS["blocks"].documents(Context(cases=cases))


def value(cells, row, **column):
    (found,) = [c["value"] for c in cells if c["row"] == row and c["column"] == column]
    return found


def profiles(answers, name):
    """Of every block, by enumeration."""
    if name != NEWLY_UNMASKED:
        return exact.block_profiles(answers)
    tables = {side: zip(*(exact.tables_of(answers, role, side) for role in ROLES), strict=True) for side in SIDES}
    return {side: [exact.newly_unmasked_profile(*pair) for pair in pairs] for side, pairs in tables.items()}


def check(cells, answers, b):
    """Variances and biases of all schemes, against those of enumerated answers."""
    for name, scheme in SCHEMES.items():
        found = [profiles(a, name) for a in answers]
        variance = [exact.margin_variance(p, scheme) for p in found]
        assert value(cells, "var_score", b=b, scheme=name) == pytest.approx(BETA**2 * sum(variance) / 2, rel=1e-9)
        bias = [exact.margin_mean(p, scheme) - exact.true_margin(a) for p, a in zip(found, answers, strict=True)]
        assert value(cells, "bias_score", b=b, scheme=name) == pytest.approx(BETA * sum(bias) / 2, rel=1e-8, abs=1e-12)


def test_blocks_are_those_of_enumeration(cells):
    check(cells, exact.tabulate([MODELS["block_markov"].case(s, LENGTH, 4) for s in range(2)]), 4)


def test_one_block_is_the_whole_response(cells):
    check(cells, exact.tabulate([MODELS["markov"].case(s, LENGTH) for s in range(2)]), LENGTH)


def test_it_says_where_sampling_begins(cells):
    """Where 2^b - 1 passes are fewer than those that VRPO's variance asks for."""
    (border,) = [c for c in cells if c["row"] == "longest_exact"]
    for b in (1, 4, LENGTH):
        sampled = 8 * value(cells, "var_score", b=b, scheme=VRPO) / TARGET**2
        assert (2**b - 1 <= max(1, sampled)) == (b <= border["value"])
    assert f"exact up to blocks of {border['value']:.0f}" in border["note"]


def test_single_tokens_need_no_sampling(cells):
    """In the count form; t varies even then."""
    assert value(cells, "passes_exact", b=1) == 1
    counts = [name for name, scheme in SCHEMES.items() if scheme.design.form == "count"]
    assert len(counts) == 7
    assert all(value(cells, "var_score", b=1, scheme=name) == pytest.approx(0, abs=1e-15) for name in counts)
