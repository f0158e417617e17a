"""A user's own plan: kept pilots, commands to paste, targets and budgets of any size, and a ranking that agrees."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from vrpo_theory import MODELS, Case, Scheme
from vrpo_theory.planning import Cost, Planner, candidates, forward_passes, make_plan, plan, report, run_pilot
from vrpo_theory.store import Recorded, SampleStore
from vrpo_theory.weightings.plain import PLAIN

BASE = Path(__file__).parents[1] / "data" / "cases" / "base"
CHAINS = [MODELS["markov"].case(seed, 16) for seed in range(2)]


@pytest.fixture(scope="module")
def planner():
    return Planner(run_pilot(CHAINS, 64), 0.2, Cost())


@pytest.fixture
def counted(tmp_path):
    """Cases whose evaluations are kept, and how many each plan made."""
    evaluated = []

    class Counted(Recorded):
        def record(self, batch, values):
            evaluated.append(sum(len(mask) for _, mask in batch))
            super().record(batch, values)

    with SampleStore.open(tmp_path, {}) as store:
        kept = [Case(Counted(c.policy, store), Counted(c.reference, store), c.pair) for c in CHAINS]
        yield kept, evaluated


@pytest.mark.parametrize(
    ("first", "second"),
    [({"target_stderr": 0.1}, {"target_stderr": 0.05}), ({"budget": 2}, {"budget": 40}),
     ({"budget": 8}, {"target_bias": 1e-3}), ({"budget": 8}, {"budget": 24, "cost": Cost(4, 1)})],
    ids=["stderr", "budgets", "budget, bias", "cost"],
)  # fmt: skip
def test_another_target_evaluates_nothing(counted, first, second):
    cases, evaluated = counted
    plan(cases, pilot=16, **first)
    made = sum(evaluated)
    assert 0 < made <= forward_passes(cases, 16)
    plan(cases, pilot=16, **second)
    assert sum(evaluated) == made


def test_a_larger_pilot_evaluates_the_rest_and_counts_all(counted):
    cases, evaluated = counted
    small, passes = run_pilot(cases, 16), []
    made = sum(evaluated)
    large = run_pilot(cases, 40, progress=passes.append)
    assert sum(evaluated) - made <= forward_passes(cases, 40) - forward_passes(cases, 16)
    assert sum(passes) == forward_passes(cases, 40)
    for few, many in zip(small.samples, large.samples, strict=True):
        for side in few:
            for a, b in zip(few[side][0].groups, many[side][0].groups, strict=False):
                assert (a.draw.masks.mask == b.draw.masks.mask).all()
                assert (a.terms == b.terms).all()


@pytest.mark.parametrize("budget", [2, 8, 64, 2**20])
def test_the_ranking_begins_with_the_recommendation(planner, budget):
    found = make_plan(planner, budget=budget)
    assert found.ranking[0][0] == found.recommended.scheme
    assert found.ranking[0][1] == found.recommended.variance


def test_candidates_that_differ_by_rounding_keep_their_order(monkeypatch, planner):
    """Kernels of other processors round otherwise; the recommendation must not change with them."""
    noise = np.random.default_rng(0)
    monkeypatch.setattr(Planner, "variances", lambda self, candidate: 1 + 1e-14 * noise.standard_normal(1))
    plain = Planner(planner.pilot, planner.beta, planner.cost, (PLAIN,))
    assert [c for c, _ in plain.ranking(8)] == candidates(8, planner.cost, (PLAIN,))


@pytest.mark.parametrize("stderr", [0.02, 0.005])
def test_far_targets_are_reached_and_cost_what_one_over_n_says(planner, stderr):
    found = make_plan(planner, target_stderr=stderr)
    assert found.recommended.variance.value <= stderr**2
    half = make_plan(planner, target_stderr=2**0.5 * stderr)
    assert found.cost / half.cost == pytest.approx(2, rel=0.1)


def test_plans_for_dear_timesteps_stay_within_the_budget():
    cost = Cost(2.5, 0.5)
    found = make_plan(Planner(run_pilot(CHAINS, 32), 0.2, cost, (PLAIN,)), budget=50)
    assert all(cost.of(c.budget) <= 50 for c, _ in found.ranking)


def test_intervals_hold_the_value_and_widen_with_fewer_groups(planner):
    few = Planner(run_pilot(CHAINS, 24), 0.2, Cost())
    wide = []
    for p in (planner, few):
        f = make_plan(p, budget=8).vrpo
        assert f.interval[0] < f.variance.value < f.interval[1]
        wide.append(f.interval[1] / f.interval[0])
    assert wide[0] < wide[1]


@pytest.fixture(scope="module")
def own():
    words = ["--policy", BASE / "policy", "--reference", BASE / "reference", "--pairs", BASE / "pairs.jsonl"]
    return [*map(str, words), "--limit", "1", "--beta", "0.3", "--batch-tokens", "512"]


def test_the_command_can_be_pasted(vrpo, own):
    done = vrpo("plan", *own, "--pilot", "16", "--budget", "3")
    assert done.exit_code == 0, done.output
    (line,) = (text for text in done.output.splitlines() if text.startswith("  vrpo score"))
    words = shlex.split(line)
    assert words[2 : 2 + len(own)] == own
    done = vrpo(*words[1:], "--json")
    assert done.exit_code == 0, done.output
    (pair,) = json.loads(done.stdout)["pairs"]
    assert pair["stderr"] is not None


def test_the_document_can_be_run(vrpo, own, tmp_path):
    done = vrpo("plan", *own, "--pilot", "24", "--budget", "3", "--json", "--store", tmp_path / "s")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found["run"]) == {"design", "weighting", "n_t", "n_yt", "shared", "groups"}
    assert found["pilot"] == {"evaluations": 24, "groups": 3, "degrees_of_freedom": 2}
    assert found["recommended"]["interval"][0] < found["recommended"]["var_score"]
    words = shlex.split(found["command"])
    assert "--store" in words
    assert Scheme.parse(words[words.index("--scheme") + 1]).document() == found["run"]


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--budget", "1e9"], "most that can be planned"), (["--target-stderr", "1e-9"], "extrapolation"),
     (["--budget", "inf"], "finite"), (["--budget", "nan"], "finite"), (["--budget", "8", "--cost", "inf,1"], "finite"),
     (["--budget", "8", "--target-bias", "1"], "give one of")],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_planned_is_refused(vrpo, own, options, said):
    done = vrpo("plan", *own, "--pilot", "16", *options, COLUMNS="200")
    assert done.exit_code == 2
    assert said in done.output


def test_spaces_and_quotes_survive_the_shell(planner):
    options = ["--policy", "my models/it's", "--pairs", "a;b.jsonl"]
    assert shlex.split(report.command(make_plan(planner, budget=8), options))[2:6] == options
