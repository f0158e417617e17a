"""``vrpo train``: what it writes, what it refuses, and that a run that was killed ends in the same weights."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vrpo_theory import load_model
from vrpo_theory.checkpoints import lora
from vrpo_theory.locks import hold

BASE = Path(__file__).parents[1] / "data/cases/base"
POLICY, PAIRS = BASE / "policy", BASE / "pairs.jsonl"
SHORT = ("--batch", 2, "--steps", 2, "--held-out", 0)
SOURCES = ("--policy", POLICY, "--pairs", PAIRS)
KILLED = Path(__file__).with_name("killed.py")


@pytest.fixture
def train(vrpo, tmp_path):
    """Runs the command on a folder's name; gives its result and the folder."""

    def run(*options, out="out", sources=SOURCES):
        return vrpo("train", *sources, "--out", tmp_path / out, *options), tmp_path / out

    return run


def lines(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["base", "bert"])
def test_a_model_is_trained_that_loads(train, kind):
    folder = BASE.parent / kind / "policy"
    result, out = train(*SHORT, "--learning-rate", 1e-3, sources=("--policy", folder, "--pairs", PAIRS))
    assert result.exit_code == 0, result.stderr
    assert load_model(out).fingerprint != load_model(folder).fingerprint
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert [row["step"] for row in lines(out)] == [1, 2]


def test_an_adapter_is_trained_and_trained_on(train):
    result, out = train(*SHORT, "--adapter-rank", 2, "--learning-rate", 1e-2)
    assert result.exit_code == 0, result.stderr
    policy = load_model(POLICY, adapter=out)
    base = load_model(POLICY)
    assert policy.fingerprint != base.fingerprint
    with lora.switched_off(policy.module):
        assert all(not layer.merged for layer in policy.modules() if hasattr(layer, "merged"))
    result, further = train(*SHORT, "--adapter", out, out="further")
    assert result.exit_code == 0, result.stderr
    assert lines(further)[0]["score"] != 0  # the base is the reference, not where training starts


@pytest.mark.parametrize("options", [(), ("--adapter-rank", 2)], ids=["weights", "adapter"])
@pytest.mark.parametrize("kind", ["dream", "sdar"])
def test_decoders_are_trained_whole_or_by_blocks(train, tmp_path, kind, options):
    """Policy and reference compute alike, packed or not: the first loss is ln 2 to the bit."""
    folder, pairs = BASE.parents[1] / "golden" / kind, tmp_path / "pairs.jsonl"
    ids = [{"prompt_ids": [5, 6 + k], "chosen_ids": [10, 11 + k, 12], "rejected_ids": [14, 15 + k]} for k in range(2)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in ids))
    sources = ("--policy", folder, "--pairs", pairs)
    result, out = train(*SHORT, *options, "--learning-rate", 1e-3, sources=sources)
    assert result.exit_code == 0, result.stderr
    first, second = (row["loss"] for row in lines(out))
    assert first == math.log(2) > second
    trained = load_model(folder, adapter=out) if options else load_model(out)
    assert trained.fingerprint != load_model(folder).fingerprint


def test_a_reference_of_its_own(train):
    result, out = train(*SHORT, "--reference", BASE / "reference")
    assert result.exit_code == 0, result.stderr
    assert lines(out)[0]["score"] != 0


def test_a_reference_may_be_evaluated_first(train, tmp_path):
    """A run that goes on with what it has evaluated; the same losses, as far as other batches round."""
    told = ("--reference", BASE / "reference", *SHORT)
    results = [train(*told, *more, out=out)[0] for out, more in (("a", ()), ("b", ("--precompute-reference",)))]
    assert [result.exit_code for result in results] == [0, 0], results[1].stderr
    one, two = (lines(tmp_path / out) for out in ("a", "b"))
    assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in two], abs=1e-6)
    refused, _ = train(*SHORT, "--adapter-rank", 2, "--precompute-reference", out="c")
    assert refused.exit_code == 2
    assert "frees a second model" in refused.stderr


def test_a_finished_run_is_not_run_again(train, monkeypatch):
    first, out = train(*SHORT)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    monkeypatch.setattr("vrpo_theory.runs.training._train", None)
    again, _ = train(*SHORT, "--save-every", 7)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "trained already" in again.stderr
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_one_run_writes_a_folder_at_a_time(train, tmp_path):
    """The lock ends with its process: a file of one that is gone does not stand in the way."""
    (tmp_path / "out").mkdir()
    with hold(tmp_path / "out" / "run.json"):
        result, out = train(*SHORT)
        assert result.exit_code == 2
        assert "is being written by another process" in result.stderr
        assert result.stderr.count("\n") == 1
    assert (out / "run.lock").exists()
    assert train(*SHORT)[0].exit_code == 0


def test_another_run_is_refused_by_what_differs(train, tmp_path):
    assert train(*SHORT)[0].exit_code == 0
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text("".join(PAIRS.read_text().splitlines(keepends=True)[:2]))
    for options, sources, named in (
        (("--beta", 0.1), SOURCES, "beta was 0.2, is 0.1"),
        ((), ("--policy", POLICY, "--pairs", fewer), "pairs was"),
        ((), ("--policy", BASE / "reference", "--pairs", PAIRS), "policy was"),
    ):
        result, _ = train(*SHORT, *options, sources=sources)
        assert result.exit_code == 2
        assert named in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_folder_with_a_model_of_no_run_is_left_alone(train, tmp_path):
    shutil.copytree(POLICY, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    result, out = train(*SHORT, sources=("--policy", tmp_path / "out", "--pairs", PAIRS))
    assert result.exit_code == 2
    assert "holds config.json, which no run has left there" in result.stderr
    assert (out / "model.safetensors").read_bytes() == before
    assert not (out / "run.json").exists()


def test_a_scheme_of_the_planner_is_what_is_trained_with(train, tmp_path):
    plan = {"run": {"design": "strata()", "weighting": "plain()", "n_t": 4, "n_yt": 1, "shared": True, "groups": 2}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    result, out = train(*SHORT, "--scheme", tmp_path / "plan.json", "--estimator", "jackknife", "--loss", "ipo")
    assert result.exit_code == 0, result.stderr
    asked = json.loads((out / "run.json").read_text())["asked"]
    assert (asked["scheme"], asked["loss"]) == ("strata(), plain(), n_t=4, n_yt=1, groups=2", "ipo()")
    assert lines(out)[0]["loss"] == 0.25


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_options_may_come_from_a_file(train, tmp_path, kind):
    told = {"policy": str(POLICY), "pairs": str(PAIRS), "batch": 2, "held-out": 0, "adapter_rank": 3, "beta": 0.3}
    told |= {"steps": 9, "gradient_checkpointing": True, "trainer": {"gradient_accumulation_steps": 2}}
    text = json.dumps(told) if kind == "json" else "".join(f"{k}: {json.dumps(v)}\n" for k, v in told.items())
    (tmp_path / f"options.{kind}").write_text(text)
    result, out = train("--config", tmp_path / f"options.{kind}", "--steps", 1, sources=())
    assert result.exit_code == 0, result.stderr
    asked = json.loads((out / "run.json").read_text())["asked"]
    assert {name: asked[name] for name in ("batch", "steps", "adapter_rank", "beta", "gradient_checkpointing")} == {
        "batch": 2, "steps": 1, "adapter_rank": 3, "beta": 0.3, "gradient_checkpointing": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "named"),
    [("bta: 1", "no option bta"), ("- 1", "holds list"), ("a: [", "cannot be read"), ("beta: much", "beta")],
)
def test_a_file_of_options_is_checked(train, tmp_path, text, named):
    (tmp_path / "options.yaml").write_text(text)
    result, _ = train("--config", tmp_path / "options.yaml")
    assert result.exit_code == 2
    assert named in result.stderr


def test_a_dry_run_says_what_it_takes_and_loads_no_model(train, monkeypatch):
    monkeypatch.setattr("vrpo_theory.models.load_model", None)
    result, out = train("--dry-run", "--batch", 2, "--epochs", 4, "--adapter-rank", 2, "--held-out", 0)
    assert result.exit_code == 0, result.stderr
    assert "steps: 6 of 2 pairs, 4 epochs" in result.stdout
    assert "passes: 98 a step, 588 in all" in result.stdout  # 2 pairs x (2 responses x 8 masks x 3 + 1)
    assert "34,336 parameters in 1 copy" in result.stdout
    assert not out.exists()
    whole, _ = train("--dry-run")
    assert "34,336 parameters in 2 copies" in whole.stdout


def test_the_dry_run_counts_an_adapter_s_parameters(train):
    policy = load_model(POLICY)
    lora.add(policy.module, 2, seed=0)
    count = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    assert f"AdamW of {count:,} parameters" in train("--dry-run", "--adapter-rank", 2)[0].stdout


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--loss", "hinge"), 2, "unknown loss 'hinge'"),
        (("--loss", "smoothed(flip=0.7)"), 2, "flip must be"),
        (("--scheme", "n_t=1", "--estimator", "jackknife"), 2, "two independent blocks"),
        (("--scheme", "nowhere.json"), 2, "no file, and no scheme"),
        (("--held-out", 1), 2, "share"),
        (("--held-out", 0.999999), 2, "all 3 pairs are held out"),
        (("--adapter-rank", 2, "--adapter", "x"), 2, "give one of them"),
        (("--trainer", "report_to"), 2, "NAME=VALUE"),
        (("--trainer", "no_such=1"), 2, "transformers refuses"),
        (("--batch", 3, "--trainer", "gradient_accumulation_steps=2"), 2, "cannot be shared by 2"),
        (("--learning-rate", 1e30, "--batch", 2, "--steps", 3), 1, "step "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_one_line(train, options, code, named):
    result, out = train(*options)
    assert result.exit_code == code
    assert named in result.stderr
    assert result.stderr.strip().count("\n") <= (3 if "usage" in result.stderr.lower() else 1)
    assert not list(out.glob("*.safetensors"))


@pytest.mark.parametrize(("library", "options"), [("accelerate", ()), ("peft", ("--adapter-rank", 2))])
def test_a_library_that_is_missing_is_named(train, monkeypatch, library, options):
    monkeypatch.setattr("vrpo_theory.runs.training_options.find_spec", lambda name: None if name == library else True)
    result, _ = train(*options)
    assert result.exit_code == 2
    assert f"training needs the library {library}: pip install" in result.stderr


def test_half_precision_without_an_adapter_is_warned_of(train):
    result, _ = train(*SHORT, "--dtype", "bfloat16")
    assert result.exit_code == 0, result.stderr
    assert "small steps are lost" in result.stderr
    assert "small steps" not in train(*SHORT, "--dtype", "bfloat16", "--adapter-rank", 2, out="adapter")[0].stderr


def killed(folder, points, *options):
    """What runs end in that were killed at these points, each beside the run that was not."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    words = [KILLED, folder, ",".join(points), *SOURCES, "--batch", 2, "--steps", 5, "--held-out", 0, *options]
    run = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])


QUICK = ("before a checkpoint is sealed",)
REST = (
    "within a step", "before weights are saved", "before the optimizer is saved", "within a line of the log",
    "before the end is written",
)  # fmt: skip


@pytest.mark.parametrize(
    ("points", "options"),
    [
        (QUICK, ("--adapter-rank", 2)),
        pytest.param(REST, (), marks=pytest.mark.soak),
        pytest.param((*QUICK, *REST), ("--adapter-rank", 2), marks=pytest.mark.soak),
    ],
    ids=["adapter", "weights", "adapter, every point"],
)
def test_a_run_that_was_killed_ends_in_the_same_weights(tmp_path, points, options):
    """And in the same log: every number of every step, but for times."""
    found = killed(tmp_path, points, "--save-every", 2, "--learning-rate", 1e-2, "--noise-every", 2, *options)
    whole = found.pop("None")
    assert whole["status"] == 0
    assert set(found) == set(points)
    for point, run in found.items():
        assert (run["killed"], run["status"]) == ([9], 0), point
        assert run["ended"] == whole["ended"], point


@pytest.mark.soak
def test_a_run_that_was_killed_at_random_times_ends_in_the_same_weights(tmp_path):
    """Twenty times, spread over a run of a few seconds; how far each came depends on the machine."""
    times = np.random.default_rng(0).uniform(0.2, 4.0, 20)
    points = [f"{seconds:.3f} s" for seconds in times]
    found = killed(tmp_path, points, "--save-every", 1, "--learning-rate", 1e-2, "--adapter-rank", 2)
    whole = found.pop("None")
    assert any(run["killed"] == [9] for run in found.values())
    assert all((run["status"], run["ended"]) == (0, whole["ended"]) for run in found.values())


@pytest.mark.soak
@pytest.mark.parametrize(
    "options",
    [("--adapter-rank", 2), ("--reference", BASE / "reference", "--precompute-reference")],
    ids=["adapter", "weights, reference evaluated first"],
)
def test_two_processes_give_the_losses_of_one(train, tmp_path, options):
    """Gradients that are added in another order: 1e-6 over four steps."""
    told = ("--batch", 2, "--steps", 4, "--held-out", 0.5, "--eval-every", 2, "--learning-rate", 1e-2, *options)
    result, alone = train(*told)
    assert result.exit_code == 0, result.stderr
    launched = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    words = [*launched, "vrpo_theory.cli", "train", *SOURCES, *told, "--out", tmp_path / "two"]
    run = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    one, two = lines(alone), lines(tmp_path / "two")
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for a, b in zip(one, two, strict=True):
        for name in a.keys() & {"loss", "eval_loss", "score", "accuracy", "passes"}:
            assert a[name] == pytest.approx(b[name], abs=1e-6), name
