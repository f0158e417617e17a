"""What the notebooks read from figures/ instead of computing it: held against the engines, and prose against it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from vrpo_theory import DESIGNS, EXHIBITS, MODELS, Scheme, margin_variance
from vrpo_theory.exact import gap_profile
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.comparison import differences
from vrpo_theory.reproduce.exhibits.designs.lineup import BASE
from vrpo_theory.types import SIDES

FIGURES = Path(__file__).parents[2] / "figures"
CHAINS = {"markov, L = 64": 8, "markov, L = 256": 8, "markov, L = 512": 16}
"""Forward passes of each length that notebook 06 shows."""


def stored(name):
    return json.loads((FIGURES / f"{name}.json").read_text())["cells"]


def value(cells, row, model, **column):
    (found,) = [c["value"] for c in cells if c["row"] == row and c["column"] == {"model": model, **column}]
    return found


@pytest.fixture(scope="module")
def designs():
    return stored("designs")


@pytest.mark.parametrize(
    ("name", "label", "seeds"), [("profile", "markov, L = 64", 8), ("ratio", "markov", 8), ("profile", "toy LLaDA", 8)]
)
def test_a_part_recomputed_is_the_stored_one(name, label, seeds):
    length, model = int(label.partition("L = ")[2] or 8), MODELS["toy_llada" if "LLaDA" in label else "markov"]
    cases = {label: [model.case(seed, length) for seed in range(seeds)]}
    part = [c for c in stored(name) if c["column"]["model"] == label]
    assert list(differences(part, EXHIBITS[name].documents(Context(cases=cases)), cases)) == []


@pytest.mark.parametrize("name", ["strata", "systematic", "without replacement", "power strata"])
def test_stored_gains_of_independent_masks_are_the_engines(designs, name):
    gains = []
    for case in (MODELS["markov"].case(seed, 64) for seed in range(8)):
        known = {side: gap_profile(case.pair.side(side), case.policy, case.reference) for side in SIDES}
        base, found = (DESIGNS[n]() for n in ("iid_count", name.replace(" ", "_")))
        for side in SIDES:
            pair = [margin_variance(known, Scheme(d, budget=d.split(8)), sides=(side,)) for d in (base, found)]
            gains.append(pair[0] / pair[1])
    mean = math.exp(np.mean(np.log(gains)))
    assert value(designs, "gain", "markov, L = 64", n=8, design=name) == pytest.approx(mean, rel=1e-8)
    assert value(designs, "gain_worst", "markov, L = 64", n=8, design=name) == pytest.approx(min(gains), rel=1e-8)


@pytest.mark.parametrize(("model", "n"), CHAINS.items())
def test_strata_and_weights_multiply_on_chains(designs, model, n):
    both = "power strata, two-way"
    gain = {d: value(designs, "gain", model, n=n, design=d) for d in ("power strata", "vrpo, two-way", both)}
    assert gain[both] == pytest.approx(gain["power strata"] * gain["vrpo, two-way"], rel=0.1)
    assert value(designs, "gain_worst", model, n=n, design=both) > 1


def test_where_designs_lose_is_shown(designs):
    shock = {d: value(designs, "gain", "shock, L = 64", n=8, design=d) for d in ("strata", "power strata")}
    assert shock["power strata"] < 0.9 < shock["strata"]
    assert value(designs, "gain", "rough table", n=8, design="power strata, two-way 0.3") < 0.9


@pytest.mark.parametrize("model", ["rough table", "mid table", "markov", "toy LLaDA"])
def test_the_jackknife_removes_the_bias_at_no_variance(designs, model):
    plug_in, jackknife = (
        [value(designs, row, model, n=8, design=d) for row in ("bias_loss", "var_loss")]
        for d in (BASE, f"{BASE}, jackknife")
    )
    assert plug_in[0] > 60 * abs(jackknife[0])
    assert jackknife[1] < 1.06 * plug_in[1]


def test_the_share_of_timesteps_grows_with_length():
    cells = stored("profile")
    shares = []
    for length in (64, 256, 512, 1024):
        parts = [value(cells, row, f"markov, L = {length}", L=length) for row in ("v_time", "v_mask")]
        shares.append(parts[0] / sum(parts))
    assert [round(share, 2) for share in shares] == [0.11, 0.15, 0.22, 0.33]
