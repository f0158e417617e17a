"""Arms: kept under what made them, continued to the bit, and exact where they say so."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vrpo_theory import MODELS, Scheme, backward, exact
from vrpo_theory.exact import MaskTable
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.training import Schedule
from vrpo_theory.training.arms import Arm, exam, finished, pair, prepare
from vrpo_theory.training.arms import runs as home
from vrpo_theory.training.arms.arm import reference
from vrpo_theory.training.arms.objectives import Enumerated
from vrpo_theory.types import SIDES, Case
from vrpo_theory.weightings.plain import PLAIN

SMALL = Arm(schedule=Schedule(4, 1e-4, warmup=1), every=2, batch=2)
CHANGED = [
    {"batch": 3}, {"every": 1}, {"mask_seed": 1}, {"data_seed": 1}, {"anchor": 0.05}, {"scheme": Scheme.parse("n_t=4")},
    {"schedule": Schedule(4, 2e-4, warmup=1)}, {"score": "elbo"}, {"score": "likelihood"}, {"score": "none"},
]  # fmt: skip


@pytest.fixture(scope="module")
def policy():
    return MODELS["toy_llada"].case(0).policy


def weights(run):
    return [p for step in run.arm.marks for p in run.model(step).parameters()]


def test_every_option_has_its_own_place():
    arms = [SMALL, *(replace(SMALL, **told) for told in CHANGED)]
    assert len({arm.key for arm in arms}) == len(arms)
    assert SMALL.key == replace(SMALL).key


def test_masks_do_not_tell_apart_what_sees_all_of_them():
    assert replace(SMALL, score="elbo").key == replace(SMALL, score="elbo", mask_seed=3, anchor=0.05).key


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path, monkeypatch):
    whole = finished(SMALL, tmp_path / "whole")
    write = home.write_atomically
    monkeypatch.setattr(
        home, "write_atomically", lambda path, text: write(path, text) if "-4" not in path.name else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):  # after four steps, two of them kept
        finished(SMALL, tmp_path / "cut")
    monkeypatch.undo()
    again = finished(SMALL, tmp_path / "cut")
    assert again.losses == whole.losses
    assert all(torch.equal(a, b) for a, b in zip(weights(again), weights(whole), strict=True))


def test_a_finished_run_is_read_back(tmp_path, monkeypatch):
    first = finished(SMALL, tmp_path)
    monkeypatch.setattr(home, "train", lambda *_, **__: pytest.fail("trained twice"))
    assert finished(SMALL, tmp_path).losses == first.losses
    questions, seen = exam("test", 2), []
    assert first.right(questions, 2).shape == (len(questions),)
    list(prepare([SMALL, SMALL], tmp_path, seen.append))
    assert [run.arm for run in seen] == [SMALL]


def test_training_can_be_scored_again(tmp_path):
    """On saved weights, a step's pairs have the very losses that training had."""
    run = finished(SMALL, tmp_path)
    mean = sum(one.loss for one in run.scored(2)) / SMALL.batch
    assert mean == pytest.approx(run.losses[2], rel=1e-12)
    assert run.losses[0] == pytest.approx(math.log(2), abs=1e-12)


def test_the_best_step_is_the_earliest_of_equals(tmp_path, monkeypatch):
    run = finished(SMALL, tmp_path)
    monkeypatch.setattr(type(run), "right", lambda self, questions, step: np.ones(3, bool))
    assert run.best(exam("validation", 1)) == 2


def test_exams_keep_to_their_split():
    from vrpo_theory.data import toy

    for split in ("validation", "test"):
        assert {toy.split_of(q.prompt) for q in exam(split, 5)} == {split}
    assert toy.split_of(pair(0, 0).chosen.prompt) == "train"


def test_enumerated_elbos_have_the_gradient_of_all_masks(policy):
    one = pair(0, 0)
    case = Case(policy, reference(), one)
    score = backward(case, exact.complete_draws(case), PLAIN, beta=0.2)
    expected = [p.grad.clone() for p in policy.parameters()]
    policy.zero_grad()
    loss = Enumerated("elbo", reference(), lambda _: one, 1).backward(policy, 0)
    assert loss == pytest.approx(math.log1p(math.exp(-score)), rel=1e-6)
    for p, g in zip(policy.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, g, rtol=1e-3, atol=1e-4 * float(g.abs().max()))
    policy.zero_grad()


def test_enumerated_losses_are_those_of_the_tables(policy):
    one = pair(0, 1)
    (answers,) = exact.tabulate([Case(policy, reference(), one)])
    gain = {
        s: exact.log_likelihood_of(answers, "policy", s) - exact.log_likelihood_of(answers, "reference", s)
        for s in SIDES
    }
    score = 0.2 * (gain["chosen"] - gain["rejected"])
    loss = Enumerated("likelihood", reference(), lambda _: one, 1).backward(copy.deepcopy(policy), 0)
    assert loss == pytest.approx(math.log1p(math.exp(-score)), rel=1e-5)


@pytest.mark.parametrize(("name", "slopes"), [("elbo", "elbo_weights"), ("log_likelihood", "likelihood_weights")])
def test_weights_are_derivatives(name, slopes):
    case = MODELS["tabular"].case(0, 4)
    table = exact.tabulate([case])[0].policy[case.pair.chosen]
    found, step = getattr(table, slopes), 1e-6
    for m, i in zip(*np.nonzero(all_masks(4)), strict=True):
        moved = table.log_prob.copy()
        moved[m, i] += step
        change = getattr(MaskTable(table.response, moved), name) - getattr(table, name)
        assert found[m, i] == pytest.approx(change / step, rel=1e-4, abs=1e-9)
    assert not found[~all_masks(4)].any()


@pytest.mark.statistical(rate=1e-9, detects="an excess over ln 2 off by half")
def test_apart_masks_start_above_ln_2_by_the_exact_bias():
    """Step 0 under many mask seeds, against the exact law of the same pairs.

    The score has mean 0 there, so that loss + score/2 has the loss's mean, and little of its noise; its squares have a
    long tail, hence seven and a half standard errors.
    """
    arm = replace(SMALL, scheme=Scheme.parse("n_t=1, shared=False"))
    objective, seeds = arm.objective(), 800
    pairs = objective.pairs(0)
    answers = exact.tabulate([Case(reference(), reference(), one) for one in pairs])
    numbered = [(seed, one) for seed in range(seeds) for one in pairs]
    scored = objective.objective.score(answers[0].policy, answers[0].reference, numbered)
    found = np.array([one.loss + one.score / 2 - math.log(2) for one in scored])
    excess = np.mean([exact.loss_moments(exact.score_law(a, arm.scheme, 0.2), 0.0).bias for a in answers])
    assert abs(found.mean() - excess) < 7.5 * found.std() / math.sqrt(len(found)) < 0.5 * excess


@pytest.mark.statistical(rate=1e-9, detects="an estimated variance off by half")
def test_variances_estimated_in_training_are_the_exact_ones(policy):
    """Mean over many draws of what one step knows, at the packaged policy's weights."""
    objective, seeds, one = SMALL.objective().objective, 400, pair(0, 0)
    (answers,) = exact.tabulate([Case(policy, reference(), one)])
    found = [s.variance for s in objective.score(answers.policy, answers.reference, [(k, one) for k in range(seeds)])]
    truth = 0.04 * exact.margin_variance(exact.profiles(answers), objective.scheme)
    assert abs(np.mean(found) - truth) < 7.5 * np.std(found) / math.sqrt(seeds) < 0.5 * truth
