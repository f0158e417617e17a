"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

import vrpo_theory
from vrpo_theory import score_pairs, tabulate, true_margin
from vrpo_theory.models import llada

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_example_prints_what_is_printed():
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    ours, theirs = (re.findall(r"\S+", s) for s in (out.getvalue(), printed))
    for a, b in zip(ours, theirs, strict=True):
        assert a == b or abs(float(a) - float(b)) < 1e-6


@pytest.mark.parametrize("command", ["score", "reproduce", "plan", "audit", "train"])
def test_the_options_that_are_named_exist(vrpo, command):
    lines = re.findall(rf"^(?:vrpo {command}|python -m vrpo_theory\.{command}) .*$", README, re.M)
    known = set(re.findall(r"--[a-z-]+", vrpo(command, "--help").stdout))
    assert lines
    assert {option for line in lines for option in re.findall(r"--[a-z-]+", line)} <= known


class Uniform:
    """No more than the README asks of a predictor."""

    device, dtype, vocabulary = torch.device("cpu"), torch.float64, 5

    def __init__(self, scale):
        self.scale, self.fingerprint = scale, f"uniform {scale}"

    def log_prob(self, tokens, answer, mask, attention):
        return -self.scale * mask.sum(1, keepdim=True).sqrt() * mask


def test_five_attributes_make_a_predictor():
    block = re.search(r"```\n(from vrpo_theory import Case.*?)```", README, re.S)[1]
    ids = {"prompt_ids": [0], "chosen_ids": [1, 2, 3, 4], "rejected_ids": [3, 2, 1]}
    names = {"my_policy": Uniform(1.0), "my_reference": Uniform(0.5), **ids}
    exec(block, names)
    case = names["Case"](names["my_policy"], names["my_reference"], names["pair"])
    (sampled,) = score_pairs([case], method="exact")
    assert sampled["margin"] == pytest.approx(true_margin(*tabulate([case])))


def test_a_loop_of_one_s_own_trains():
    block = re.search(r"```\n(policy, reference = load_model.*?)```", README, re.S)[1]
    names = {"load_model": lambda folder: llada.tiny("policy"), "DIR": "", "dpo_loss": vrpo_theory.dpo_loss}
    exec(block, names | {"batches": [[llada.case(seed).pair] for seed in (0, 1)]}, found := {})
    assert all(p.grad.isfinite().all() for p in found["policy"].parameters())
