"""The loop: it learns, goes on where it was cut off, and stops at the first number that is none."""

import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vrpo_theory.data import toy
from vrpo_theory.errors import InputError
from vrpo_theory.training import Schedule, Supervised, Vrpo, train
from vrpo_theory.types import Response

SCHEDULE = Schedule(steps=7, rate=1e-2, warmup=2, decay=0.1)


class Cut:
    """An objective that is interrupted at a step, in the middle of it."""

    def __init__(self, inner, step):
        self.inner, self.step = inner, step

    def backward(self, model, step):
        loss = self.inner.backward(model, step)
        if step == self.step:
            raise KeyboardInterrupt
        return loss


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def stages(other):
    return {
        "supervised": Supervised(lambda i: toy.supervised(0, "train", 0.3, i), 4),
        "vrpo": Vrpo(other, lambda i: toy.pair(0, "train", i), 2, anchor=0.1),
    }


def test_loss_falls_on_a_very_small_problem(model):
    """One response, learnt by heart."""
    response = Response((1, 2), (3, 4, 5, toy.EOS))
    losses = train(model, Supervised(lambda i: response, 8), Schedule(steps=120, rate=2e-2, warmup=5))
    assert len(losses) == 120
    assert np.mean(losses[:5]) > 2
    assert np.mean(losses[-20:]) < 0.3


def test_preferences_are_learnt_by_heart(model):
    pair = toy.pair(0, "train", 0)
    losses = train(model, Vrpo(copy.deepcopy(model), lambda i: pair, 1), Schedule(steps=12, rate=2e-2))
    assert math.isclose(losses[0], math.log(2), rel_tol=1e-12)
    assert losses[-1] < 0.2


@pytest.mark.parametrize("stage", ["supervised", "vrpo"])
@pytest.mark.parametrize("cut", [0, 1, 3, 6])
def test_a_run_that_was_cut_off_ends_in_the_same_weights(model, other, tmp_path, stage, cut):
    """Checkpoints every second step; the cut comes after the gradient and before the update."""
    objective, path, again = stages(other)[stage], tmp_path / "run.safetensors", copy.deepcopy(model)
    whole = copy.deepcopy(model)
    expected = train(whole, objective, SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        train(model, Cut(objective, cut), SCHEDULE, path=path, every=2)
    assert path.exists() == (cut >= 2)
    assert train(again, objective, SCHEDULE, path=path, every=2) == expected
    assert torch.equal(weights(again), weights(whole))
    assert not torch.equal(weights(again), weights(model))


def test_a_finished_run_is_not_run_again(model, other, tmp_path):
    objective, path, start = stages(other)["supervised"], tmp_path / "run.safetensors", copy.deepcopy(model)
    losses = train(model, objective, SCHEDULE, path=path)
    assert train(start, Cut(objective, 0), SCHEDULE, path=path) == losses
    assert torch.equal(weights(start), weights(model))


def test_the_optimizer_is_part_of_the_checkpoint(model, other, tmp_path):
    """Control: with the right weights and empty moments the run ends elsewhere."""
    objective, path, whole = stages(other)["supervised"], tmp_path / "run.safetensors", copy.deepcopy(model)
    start = copy.deepcopy(model)
    train(whole, objective, SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        train(model, Cut(objective, 4), SCHEDULE, path=path, every=4)
    with safe_open(path, "pt") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    empty = {name: 0 * tensor if name.startswith("exp_avg") else tensor for name, tensor in state.items()}
    assert metadata["step"] == "4"
    assert len(state["losses"]) == 4
    save_file(empty, path, metadata)
    train(start, objective, SCHEDULE, path=path)
    assert not torch.allclose(weights(start), weights(whole), atol=1e-4)


def test_another_run_is_refused(model, other, tmp_path):
    objective, path = stages(other)["supervised"], tmp_path / "run.safetensors"
    start = copy.deepcopy(model)
    train(model, objective, SCHEDULE, path=path, origin="a")
    for run, options in (
        (start, {"schedule": SCHEDULE, "origin": "b"}),
        (start, {"schedule": Schedule(steps=8, rate=1e-2), "origin": "a"}),
        (other, {"schedule": SCHEDULE, "origin": "a"}),
    ):
        before = weights(run)
        with pytest.raises(InputError, match="other options, data or start"):
            train(run, objective, path=path, **options)
        assert torch.equal(weights(run), before)


def test_a_damaged_checkpoint_is_refused(model, other, tmp_path):
    objective, path = stages(other)["supervised"], tmp_path / "run.safetensors"
    start = copy.deepcopy(model)
    train(model, objective, SCHEDULE, path=path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a complete checkpoint"):
        train(start, objective, SCHEDULE, path=path)


class Broken:
    """An objective whose gradient, or loss, is spoilt at one step."""

    def __init__(self, inner, step, value, where):
        self.inner, self.step, self.value, self.where = inner, step, value, where

    def backward(self, model, step):
        loss = self.inner.backward(model, step)
        if step == self.step and self.where == "loss":
            return self.value
        if step == self.step:
            dict(model.named_parameters())[self.where].grad.view(-1)[3] = self.value
        return loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["loss", "module.model.transformer.blocks.0.up_proj.weight"])
def test_what_is_not_finite_stops_the_run_within_the_step(model, other, tmp_path, value, where):
    objective, path, kept = stages(other)["supervised"], tmp_path / "run.safetensors", copy.deepcopy(model)
    with pytest.raises(FloatingPointError, match=f"step 5: .*{where}"):
        train(model, Broken(objective, 5, value, where), SCHEDULE, path=path, every=2)
    with pytest.raises(KeyboardInterrupt):
        train(kept, Cut(objective, 5), SCHEDULE)
    assert torch.equal(weights(model), weights(kept))
    with safe_open(path, "pt") as file:
        assert file.metadata()["step"] == "4"


@pytest.mark.parametrize("stage", ["supervised", "vrpo"])
def test_spoilt_weights_are_named_by_step(model, other, stage):
    with torch.no_grad():
        dict(model.named_parameters())["module.model.transformer.ln_f.weight"][2] = math.nan
    with pytest.raises(FloatingPointError, match="step 0: "):
        train(model, stages(other)[stage], SCHEDULE)


def test_global_generators_are_neither_read_nor_advanced(model, other):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()
        trained = copy.deepcopy(model)
        for objective in stages(other).values():
            train(trained, objective, Schedule(steps=2, rate=1e-2))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()
        runs.append(weights(trained))
    assert torch.equal(*runs)


def test_the_rate_rises_and_is_annealed_to_zero():
    schedule = Schedule(steps=100, rate=2.0, warmup=10)
    rates = [schedule.rate_at(step) for step in range(101)]
    assert rates[:3] == [0.2, 0.4, pytest.approx(0.6)]
    assert max(rates) < 2.0 == pytest.approx(max(rates), rel=0.05)
    assert all(a > b for a, b in pairwise(rates[12:]))
    assert rates[100] == 0


def test_frozen_parameters_stay(model, other):
    frozen = dict(model.named_parameters())["module.model.transformer.wte.weight"].requires_grad_(False)
    before = frozen.clone()
    train(model, stages(other)["vrpo"], Schedule(steps=2, rate=1e-2))
    assert torch.equal(frozen, before)
