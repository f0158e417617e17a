"""The profile exhibit: its cells are the engines' numbers, and long chains behave as the theory of gaps says."""

import numpy as np
import pytest

from vrpo_theory import EXHIBITS, MODELS, profiles, tabulate
from vrpo_theory.exact import gap_profile
from vrpo_theory.reproduce import Context
from vrpo_theory.types import SIDES

EXHIBIT = EXHIBITS["profile"]


@pytest.fixture(scope="module")
def cells():
    cases = {
        "rough table": [MODELS["tabular"].case(s, 6) for s in range(2)],
        "markov, L = 64": [MODELS["markov"].case(0, 64)],
    }
    return EXHIBIT.documents(Context(cases=cases))


def value(cells, row, **column):
    (found,) = [c["value"] for c in cells if c["row"] == row and c["column"] == column]
    return found


def test_short_responses_are_enumerated(cells):
    found = [p for s in range(2) for p in profiles(tabulate([MODELS["tabular"].case(s, 6)])[0]).values()]
    for count in range(1, 7):
        factor = 6 / count
        mean = np.mean([factor * (p.mean[count, 0] - p.mean[count, 1]) for p in found])
        spread = [p.covariance[count] for p in found]
        variance = np.mean([factor**2 * (c[0, 0] + c[1, 1] - 2 * c[0, 1]) for c in spread])
        assert value(cells, "mean_term", model="rough table", l=count) == pytest.approx(mean, rel=1e-10)
        assert value(cells, "var_term", model="rough table", l=count) == pytest.approx(variance, abs=1e-12)


def test_long_ones_come_from_the_gap_recursion(cells):
    case = MODELS["markov"].case(0, 64)
    found = [gap_profile(case.pair.side(s), case.policy, case.reference) for s in SIDES]
    terms = [[64 / c * (p.mean[c, 0] - p.mean[c, 1]) for c in range(1, 65)] for p in found]
    v_time = np.mean([np.var(t) for t in terms])
    assert value(cells, "v_time", model="markov, L = 64", L=64) == pytest.approx(v_time, rel=1e-9)


def test_few_masked_tokens_carry_the_variance_of_a_chain(cells):
    """V(l) falls like 1/l: from l = 1 to l = 8 by about eight."""
    first, eighth = (value(cells, "var_term", model="markov, L = 64", l=count) for count in (1, 8))
    assert 5 < first / eighth < 12
    assert value(cells, "var_term", model="markov, L = 64", l=64) == pytest.approx(0, abs=1e-9)


def test_lines_are_the_cells(cells, drawn):
    figure = EXHIBIT.plot(cells)
    short, _, shares = map(drawn, figure.axes)
    part = [c for c in cells if c["row"] == "var_term" and c["column"]["model"] == "rough table" and c["value"] > 0]
    assert short == {"rough table": [[c["column"]["l"] / 6, c["value"]] for c in part]}
    assert shares == {"markov": [[64, value(cells, "share_time", model="markov, L = 64", L=64)]]}
