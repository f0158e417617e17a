"""The README's examples print what it says, and its commands run."""

import contextlib
import io
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

import vrpo_theory
from vrpo_theory import Scheme, score_pairs, tabulate, true_margin
from vrpo_theory.models import llada
from vrpo_theory.reproduce.exhibits.designs.lineup import DEFAULT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny"


EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S)


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=["five lines", "parts"])
def test_examples_print_what_is_printed(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    ours, theirs = (re.findall(r"\S+", s) for s in (out.getvalue(), printed))
    for a, b in zip(ours, theirs, strict=True):
        assert a == b or abs(float(a) - float(b)) <= 1.1 * 10.0 ** -len(b.partition(".")[2])  # the last digit printed


def test_the_opening_commands_are_the_makefile_s():
    commands = [line.partition("#")[0].split() for line in README.split("```")[1].strip().splitlines()]
    assert commands == [["make", "table3"], ["make", "test"]]
    for command in commands:
        subprocess.run([*command, "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_the_gains_that_are_named():
    """On Markov chains of 64 tokens, to one digit."""
    cells = json.loads((ROOT / "figures" / "designs.json").read_text())["cells"]
    at = {"model": "markov, L = 64", "design": DEFAULT}
    gains = {c["column"]["n"]: c["value"] for c in cells if c["row"] == "gain" and c["column"].items() >= at.items()}
    claimed = re.search(r"(\d) times less at (\d+) forward passes and (\d) times at (\d+)\s+on Markov", README).groups()
    small, few, large, many = map(int, claimed)
    assert (round(gains[few]), round(gains[many])) == (small, large)


PAIRS = "".join(
    json.dumps({"prompt_ids": [1, k], "chosen_ids": [2, 3, k], "rejected_ids": [4, 5]}) + "\n" for k in (2, 3)
)
SMALLER = {
    "reproduce": ["--gradient", "none", "--repeats", "3", "--out", "results"],
    "plan": ["--pilot", "16"],
    "train": ["--dry-run"],
    "audit": ["--toys", "rough", "--lengths", "1", "--n", "1", "--margin", "0.1"],
}
"""Options that keep a command of the README short here."""
COMMANDS = [
    line
    for line in re.findall(
        r"^(?:vrpo|python -m vrpo_theory\.)\W*(?:score|plan|train|audit|reproduce) .*$", README, re.M
    )
    if "runs/one" not in line or "train" in line
]


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: " ".join(line.split()[:4]))
def test_commands_run(line, vrpo, tmp_path, monkeypatch):
    """On the tiny checkpoints that come with the package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    (tmp_path / "my_trainer.py").write_text(re.search(r"```\n(import torch\n.*?)```", README, re.S)[1])
    (tmp_path / "plan.json").write_text(json.dumps(Scheme().document()))
    words = re.sub(r"^python -m vrpo_theory\.", "vrpo ", line).split()[1:]
    roles = iter(("policy", "reference"))
    words = [str(TINY / next(roles)) if word == "DIR" else word for word in words]
    result = vrpo(*shlex.split(shlex.join(words).replace("cuda", "cpu")), *SMALLER.get(words[0], ()))
    assert result.exit_code == 0, result.output


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
