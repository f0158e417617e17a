"""No variance: answers of one token, equal models, beta 0, one pair. Every ratio is a number, or null with its reason.

As in https://github.com/EleutherAI/lm-evaluation-harness/issues/1672 and
https://github.com/huggingface/trl/issues/1627.
"""

import json
import math
from dataclasses import fields
from pathlib import Path

import pytest

from vrpo_theory import (
    EXHIBITS,
    MODELS,
    Budget,
    Case,
    Coupling,
    PreferencePair,
    Response,
    Scheme,
    estimate_scores,
    score_pairs,
)
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.summary import NO_INTERVAL, ONE_PAIR, geometric_mean, over_pairs, ratio_of_means
from vrpo_theory.sampling import draw_pools
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import INFINITE, UNDEFINED

BASE = Path(__file__).parents[1] / "data" / "cases" / "base"
TEXT = {"prompt": "Name a fruit.", "chosen": "pear", "rejected": "rock"}
ONE_TOKEN = {"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4]}


def pair(chosen, rejected):
    return PreferencePair(Response([0], chosen), Response([0], rejected), "p")


def toy(length=6):
    return MODELS["tabular"].case(0, length)


def short(*pairs):
    """Pairs under the models of a toy whose tables are those of a longer response: any answer up to its length."""
    case = MODELS["markov"].case(0, 8)
    return [Case(case.policy, case.reference, pair(*p)) for p in pairs]


def equal_models():
    case = toy()
    return [Case(case.policy, case.policy, case.pair)]


CASES = {
    "one token": lambda: short(([1], [2])),
    "one token beside many": lambda: short(([1], [2, 3, 1, 0])),
    "one pair of two without variance": lambda: short(([1], [2]), ([1, 2, 3, 0], [3, 2])),
    "equal models": equal_models,
    "one pair": lambda: [toy()],
}


@pytest.fixture
def table3(vrpo, write, tmp_path):
    """The ablation of one row."""

    def run(row, *options, reference="reference"):
        sources = ("--policy", BASE / "policy", "--reference", BASE / reference, "--pairs", write(row))
        more = ("--gradient", "none", "--out", tmp_path / "out", "--json", *options)
        return vrpo("reproduce", "table3", *sources, *more)

    return run


@pytest.mark.parametrize(
    ("row", "options", "reference"),
    [(ONE_TOKEN, (), "reference"), (TEXT, (), "policy"), (TEXT, ("--beta", 0), "reference")],
    ids=["one token", "equal models", "beta 0"],
)
def test_ratios_of_nothing_are_null_and_say_so(table3, tmp_path, row, options, reference):
    result = table3(row, *options, reference=reference)
    assert result.exit_code == 0, result.output
    assert "exact: up to" in result.stderr
    cells = json.loads(result.stdout)["exhibits"]["table3"]["cells"]
    assert json.loads((tmp_path / "out" / "table3.json").read_text())["cells"] == cells
    ratios = [c for c in cells if c["row"] in ("var_score_ratio", "var_loss_ratio")]
    assert {c["method"] for c in ratios} == {"exact", "pooled"}
    for c in ratios:
        assert c["value"] is c["stderr"] is c["verdict"] is None
        apart = reference == "policy" and not c["column"]["shared"]
        assert (INFINITE if apart else UNDEFINED) in c["note"]
    shared = [c for c in cells if c["row"] in ("var_score", "var_loss", "bias_loss") and c["column"]["shared"]]
    assert {c["value"] for c in shared} == {0.0}


@pytest.mark.parametrize("method", ["exact", "mc"])
def test_scores_of_beta_0_have_no_sign(vrpo, write, method):
    models = [f"--policy={BASE / 'policy'}", f"--reference={BASE / 'reference'}", f"--pairs={write(TEXT)}"]
    command = ["score", *models, "--beta=0", f"--method={method}"]
    lines = [line.split() for line in vrpo(*command).stdout.splitlines()]
    (header,) = (line for line in lines if line[:2] == ["id", "method"])
    row = lines[lines.index(header) + 2]
    (found,) = json.loads(vrpo(*command, "--json").stdout)["pairs"]
    assert found["margin"] < 0
    assert (math.copysign(1, found["score"]), row[header.index("score")][0]) == (1, "0")


@pytest.mark.parametrize("beta", ["nan", "inf", "-1"])
def test_beta_is_checked_before_a_model_loads(table3, beta):
    result = table3(TEXT, "--beta", beta)
    assert result.exit_code == 2
    assert "finite number of at least 0" in result.output
    for call in (lambda b: score_pairs([toy()], beta=b), lambda b: Context(beta=b)):
        with pytest.raises(ValueError, match="beta must be"):
            call(float(beta))


@pytest.mark.parametrize("name", ["table3", "allocation", "forms", "likelihood", "ratio"])
@pytest.mark.parametrize("label", CASES)
def test_every_number_is_finite_or_null_with_a_note(name, label):
    told = {"repeats": 3, "gradient": "none", "protocol": "both", "pool": Budget(4, 2)}
    own = {field.name: told[field.name] for field in fields(EXHIBITS[name].options)}
    for c in EXHIBITS[name].documents(Context(cases={label: CASES[label]()}), **own):
        json.dumps(c, allow_nan=False)
        assert c["value"] is not None or c["note"]
        if c["n_pairs"] == 1 and "pair" not in c["column"] and c["method"] != "paper":
            assert c["median"] is c["interval"] is None
            assert ONE_PAIR in c["note"]


def test_shares_and_ranks_of_equal_models():
    for name in ("profile", "proxy"):
        case = MODELS["llada"].case(0, 3)
        cells = EXHIBITS[name].documents(Context(cases={"equal": [Case(case.policy, case.policy, case.pair)]}))
        json.dumps(cells, allow_nan=False)
        assert all(c["value"] is not None or c["note"] for c in cells)


@pytest.mark.parametrize("n_t", [1, 8])
def test_one_token_answers_have_no_error_by_any_method(n_t):
    (case,) = short(([1], [2]))
    (exact,) = score_pairs([case])
    (sampled,) = score_pairs([case], scheme=Scheme(budget=Budget(n_t)))
    assert (exact["method"], exact["stderr"], exact["v_time"], exact["v_mask"]) == ("exact", None, 0, 0)
    assert sampled["score"] == pytest.approx(exact["score"], rel=1e-12)
    assert sampled["stderr"] == (0 if n_t > 1 else None)
    assert bool(sampled["note"]) == (n_t == 1)


def test_a_fixed_proportion_has_no_error_and_a_certain_verdict():
    """V(1, 1) is four times V(4, 1) for iid timesteps, whatever the draws; also where one answer has one token."""
    for label in ("one token beside many", "one pair"):
        pools = draw_pools(CASES[label](), Budget(6, 3), seed=0)
        one, four = ([p.score_variance(Scheme(budget=Budget(n)), 0.2) for p in pools] for n in (1, 4))
        ratio = ratio_of_means(one, four, 0)
        assert ratio["value"] == pytest.approx(4, rel=1e-12)
        assert ratio["stderr"] == 0


def test_summaries_of_zeros():
    zero, some = Estimate(0.0, 0.0), Estimate(2.0, 0.5)
    assert ratio_of_means([zero], [zero], 0)["value"] is None
    assert UNDEFINED in ratio_of_means([zero], [zero], 0)["note"]
    assert INFINITE in ratio_of_means([some], [zero], 0)["note"]
    assert ratio_of_means([zero], [some], 0)["value"] == 0
    half = ratio_of_means([zero, some], [zero, some], 0)
    assert (half["value"], half["median"], half["interval"]) == (1.0, 1.0, None)
    assert "1 of 2 pairs" in half["note"]
    assert NO_INTERVAL in half["note"]
    assert over_pairs([zero, zero], 0)["interval"] == (0.0, 0.0)
    undefined = Estimate(math.nan, None, UNDEFINED)
    assert geometric_mean([some, undefined], 0)["value"] == pytest.approx(2)
    assert geometric_mean([undefined], 0)["value"] is None


def test_equal_draws_have_variance_zero_whatever_the_mean_rounds_to():
    (case,) = short(([1], [2]))
    for budget in (Budget(3), Budget(7), Budget(5, 3)):
        (found,) = estimate_scores([case], Scheme(budget=budget, coupling=Coupling(False)), seed=1)
        assert found.score.stderr == 0
        assert found.moments.v_mask in (None, 0.0)


@pytest.mark.parametrize("option", ["--n-t", "--n-yt", "--groups", "--limit"])
def test_counts_beyond_any_memory_are_refused_before_models(vrpo, option):
    result = vrpo("score", "--policy=x", "--reference=x", "--pairs=x", f"{option}={10**20}")
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize(
    ("options", "method"), [([], "exact"), (["--n-t=4"], "mc"), (["--method=mc"], "mc"), (["--groups=2"], "mc")]
)
def test_an_explicit_budget_means_monte_carlo(vrpo, tmp_path, options, method):
    (tmp_path / "pairs.jsonl").write_text(json.dumps(ONE_TOKEN | {"chosen_ids": [3, 5]}))
    models = [f"--policy={BASE / 'policy'}", f"--reference={BASE / 'reference'}", f"--pairs={tmp_path / 'pairs.jsonl'}"]
    result = vrpo("score", *models, *options, "--json")
    assert [row["method"] for row in json.loads(result.stdout)["pairs"]] == [method]
    if options and method == "mc" and options != ["--method=mc"]:
        refused = vrpo("score", *models, *options, "--method=exact")
        assert refused.exit_code == 2
        assert "evaluates every mask and has no budget" in refused.output


@pytest.mark.parametrize("name", ["likelihood", "forms", "ratio"])
def test_exhibits_that_enumerate_name_the_cost_of_long_answers(vrpo, write, tmp_path, name):
    pairs = write(ONE_TOKEN | {"chosen_ids": list(range(1, 19))})
    models = [f"--policy={BASE / 'policy'}", f"--reference={BASE / 'reference'}", f"--pairs={pairs}"]
    result = vrpo("reproduce", name, *models, f"--out={tmp_path / 'out'}")
    assert result.exit_code == 2
    assert f"up to {2**18 - 1:,} masks per response and model" in result.output
