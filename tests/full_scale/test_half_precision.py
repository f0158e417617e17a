"""Rows of the ablation that only checkpoints have: half precision held against float32, spread over pairs."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import vrpo_theory
from vrpo_theory import Scheme, elbo, rounding
from vrpo_theory.cli import app
from vrpo_theory.models import load_model
from vrpo_theory.randomness import PRECISION
from vrpo_theory.reproduce.exhibits.table3.quartiles import spread
from vrpo_theory.sampling import precision_deviations
from vrpo_theory.types import ROLES, Budget, Case, Estimate, PreferencePair, Response
from vrpo_theory.weightings.plain import PLAIN

TINY = Path(vrpo_theory.__file__).parent / "models/llada/tiny"
BUDGET = Budget(3, 1)


def of_float32(model):
    """A copy with the same weights in float32."""
    return copy.deepcopy(model).float()


@pytest.fixture(scope="module")
def cases():
    models = [load_model(TINY / role, dtype="bfloat16") for role in ("policy", "reference")]
    prompt = (3, 1, 4)
    pairs = [PreferencePair(Response(prompt, (k, 5, 9, 2)), Response(prompt, (6, 5, k, 3, 5)), f"p{k}") for k in (7, 8)]
    return [Case(*models, pair) for pair in pairs]


def test_widened_weights_are_the_same_values_and_come_back(cases):
    policy = cases[0].policy
    before = {name: p.clone() for name, p in policy.named_parameters()}
    fingerprint = policy.fingerprint
    with policy.widened():
        assert policy.dtype == torch.float32
        assert all(torch.equal(p, before[name].float()) for name, p in policy.named_parameters())
        assert policy.fingerprint != fingerprint
    assert all(torch.equal(p, before[name]) for name, p in policy.named_parameters())
    assert (policy.dtype, policy.fingerprint) == (torch.bfloat16, fingerprint)


def test_deviations_are_those_of_two_models(cases):
    """Half precision against a float32 model of its own, in the batches of the measurement: others round otherwise.

    A weight that is not widened, or a role or side with the wrong sign, moves margins by some hundredths of a nat.
    """
    pairs = [Scheme(budget=BUDGET).draw(c.pair, seed=0, repeat=PRECISION) for c in cases]
    draws = [draw for pair in pairs for draw in pair]
    requests = [(draw.response, draw.masks.mask) for draw in draws]
    changes, bound = np.zeros(len(draws)), np.zeros(len(draws))
    for role in ROLES:
        narrow, wide = (elbo.terms(requests, m) for m in (cases[0].model(role), of_float32(cases[0].model(role))))
        for k, (draw, a, b) in enumerate(zip(draws, narrow, wide, strict=True)):
            changes[k] += draw.contrast.coefficient(role) * elbo.estimate(draw.masks, a - b, PLAIN)
            bound[k] += draw.response.length * rounding.of_tokens(of_float32(cases[0].model(role)), b)
    for k, found in enumerate(precision_deviations(cases, BUDGET, seed=0)):
        own = slice(2 * k, 2 * k + 2)
        assert 0 < found.token < rounding.of_tokens(cases[0].policy, narrow[2 * k])
        assert abs(found.margin - changes[own].sum()) < bound[own].sum() < 0.01


def test_float32_deviates_from_itself_by_nothing(cases):
    models = [load_model(TINY / role) for role in ("policy", "reference")]
    (found,) = precision_deviations([Case(*models, cases[0].pair)], BUDGET, seed=0)
    assert (found.token, found.margin) == (0.0, 0.0)


def run(*options):
    done = CliRunner().invoke(app, ["reproduce", "table3", "--json", *map(str, options)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["exhibits"]["table3"]["cells"]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The ablation of 16 pairs in bfloat16, recorded."""
    root = tmp_path_factory.mktemp("half")
    rng = np.random.default_rng(5)
    rows = [
        {"prompt_ids": [1, 2], "chosen_ids": rng.integers(256, size=5).tolist(),
         "rejected_ids": rng.integers(256, size=4).tolist()}
        for _ in range(16)
    ]  # fmt: skip
    (root / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root, run(
        "--policy", TINY / "policy", "--reference", TINY / "reference", "--pairs", root / "pairs.jsonl",
        "--dtype", "bfloat16", "--method", "mc", "--pool", "4,2", "--store", root / "store", "--out", root / "out",
    )  # fmt: skip


def test_the_table_states_what_half_precision_does(table):
    _, cells = table
    for row in ("dtype_token", "dtype_score"):
        (cell,) = [c for c in cells if c["row"] == row]
        assert cell["value"] > 0
        assert (cell["n_pairs"], cell["unit"]) == (8, "nats")
        assert "bfloat16" in cell["note"]


def test_the_table_of_a_record_has_no_such_rows(table):
    root, cells = table
    again = run("--from-store", root / "store", "--method", "mc", "--pool", "4,2", "--dtype", "bfloat16",
                "--out", root / "again")  # fmt: skip
    ours = {c["row"] for c in cells}
    assert ours - {c["row"] for c in again} == {
        "dtype_token", "dtype_score", "var_gradient_loo",
        *(f"var_gradient{end}" for end in ("", "_ratio", *(f"_{n}" for n in SPREAD))),
    }  # fmt: skip


SPREAD = ("quartile1", "median", "quartile3", "tail_index")


def test_the_table_shows_the_spread_over_pairs(table):
    _, cells = table
    base = {c["row"]: c for c in cells if c["column"]["n_t"] == 4 and c["column"]["shared"]}
    for row in ("var_score", "var_loss", "var_gradient"):
        low, middle, high = (base[f"{row}_{name}"]["value"] for name in SPREAD[:3])
        assert low < middle < high
        assert middle == pytest.approx(base[row]["median"])
        assert base[row]["interval"] is not None


@pytest.mark.parametrize(("row", "share"), [("x_quartile1", 0.25), ("x_median", 0.5), ("x_quartile3", 0.75)])
def test_errors_of_quartiles_are_those_of_order_statistics(row, share):
    """Of 400 uniform values sqrt(p (1 - p)/400); 2,000 resamples tell it to 1.6%, and here to five times that."""
    values = (np.random.default_rng(0).permutation(400) + 0.5) / 400
    errors = {c.row: c.stderr for c in spread("x", [Estimate(v) for v in values], column={})}
    assert errors[row] == pytest.approx(np.sqrt(share * (1 - share) / 400), rel=0.08)


def test_few_pairs_have_quartiles_but_no_tail():
    cells = list(spread("x", [Estimate(v) for v in (1.0, 2.0, 3.0)], column={}))
    assert [c.row for c in cells] == ["x_quartile1", "x_median", "x_quartile3"]
    assert [c.value for c in cells] == [1.5, 2.0, 2.5]
    assert [c.df for c in cells] == [2, 2, 2]
    assert list(spread("x", [Estimate(1.0)], column={})) == []
