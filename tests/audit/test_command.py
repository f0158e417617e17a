"""``vrpo audit``: exit codes, one document on standard output, and an estimator's own faults shown to its author."""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
SOURCE = """
import os
import torch
from vrpo_theory.auditing.toys import TOYS, has, toy

def exact(model, prompt, answer, n, generator, shift=0.0):
    print("chatter")
    found = (toy(name, len(answer)) for name in TOYS if has(name, len(answer)))
    return next(t.elbo for t in found if t.predictor is model) + shift

def low(*arguments):
    return exact(*arguments, shift=-1)

def broken(*arguments):
    return weights(arguments)

def weights(arguments):
    raise KeyError("weights")

def leaves(*arguments):
    raise SystemExit(7)

def interrupted(*arguments):
    raise KeyboardInterrupt

def nothing(*arguments):
    return None

def few(model, prompt):
    return 0.0

def child(*arguments):
    os.system("echo chatter of a child")
    return exact(*arguments)

def loss(model, input_ids, labels):
    rows, scored = torch.arange(len(input_ids)), labels != -100
    length = int(scored[0].sum())
    count = torch.randint(1, length + 1, (len(input_ids), 1))
    rank = torch.rand(labels.shape).masked_fill(~scored, 2).argsort(1).argsort(1)
    mask = rank < count
    logits = model(input_ids.masked_fill(mask, model.config.mask_token_id)).logits
    terms = logits.log_softmax(-1).gather(-1, input_ids[..., None])[..., 0]
    return -(terms * mask / count).sum(1).mean()

class Trainer:
    def compute_loss(self, model, inputs):
        return inputs["labels"].shape[1] * loss(model, inputs["input_ids"], inputs["labels"])

trainer = Trainer()

def unweighted(model, input_ids, labels):
    return 3 * loss(model, input_ids, labels)

def doubles(*arguments):
    torch.set_default_dtype(torch.float64)
    return exact(*arguments)
"""


@pytest.fixture
def run(vrpo, tmp_path, monkeypatch):
    (tmp_path / "mine_audited.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(name, *options):
        small = ("--lengths", "2", "--n", "1", "--toys", "rough")
        return vrpo("audit", f"mine_audited:{name}", *small, *options)

    yield run
    sys.modules.pop("mine_audited", None)


@pytest.mark.parametrize(
    ("name", "options", "code", "verdict"),
    [("exact", (), 0, "accepted"), ("low", (), 3, "rejected"), ("exact", ("--seconds", "0"), 4, "undecided")],
)
def test_verdicts_are_exit_codes(run, name, options, code, verdict):
    result = run(name, *options, "--json")
    assert result.exit_code == code, result.output
    document = json.loads(result.stdout)
    assert document["verdict"] == verdict
    origin = document["provenance"]
    assert origin["estimator"] == f"mine_audited:{name}"
    assert origin["source"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert origin["audit"]["lengths"] == [2]
    assert set(origin) == {
        "audit", "code", "commit", "estimator", "inputs", "machine", "paper", "source", "versions",
    }  # fmt: skip
    assert (verdict in result.stderr) == (code != 0)


def test_the_table_for_people(run):
    result = run("low")
    assert result.exit_code == 3
    assert "too low" in result.stdout
    assert "no-forward: the model was never called" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("rejected: too low by 1 nats")
    assert "chatter" not in result.stdout
    assert result.stdout.splitlines()[-1] == "exit code 3: rejected (0 accepted, 3 rejected, 4 undecided)"


def test_the_table_is_read_without_a_key(run):
    lines = run("exact").stdout.splitlines()
    assert lines[0].startswith("bias: mean of the calls less the exact ELBO")
    assert "bias in nats per token" in lines[1]
    assert "batch size" not in lines[1]  # this estimator takes none
    assert "accepted: the bias is at most 0.01 nats per token in all cells (1)" in lines


@pytest.mark.parametrize(("options", "shown"), [((), 0), (("--all",), 1)])
def test_undecided_cells_are_shown_on_demand(run, options, shown):
    result = run("exact", "--seconds", "0", *options)
    assert sum(line.startswith("rough") for line in result.stdout.splitlines()) == shown
    assert ("not shown: 1 undecided cells of 1" in result.stdout) == (not shown)
    assert "allow more seconds" in result.stderr


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("nothing", (), "nothing returned None, on the rough toy (L = 2, n = 1): return the ELBO in nats"),
        ("absent", (), "its functions are exact, low, broken"),
        ("few", (), "few(model, prompt) cannot be called with (model, prompt_ids, answer_ids, n, generator)"),
        ("exact", ("--lengths", "two"), "--lengths 'two' is not a list of numbers"),
        ("exact", ("--lengths", "0"), "finite and at least 1"),
        ("exact", ("--span", "inf,0"), "finite and at least 0"),
        ("exact", ("--span", "nan,0"), "finite and at least 0"),
        ("exact", ("--span", "2"), "span must be"),
        ("exact", ("--margin", "1"), "margin must lie in"),
        ("exact", ("--alpha", "2"), "alpha must be a probability"),
        ("exact", ("--toys", "zebra,rough,okapi"), "unknown toys 'zebra', 'okapi': choose from copied, rough"),
    ],
)
def test_errors_are_one_line(run, name, options, says):
    result = run(name, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert says in line


@pytest.mark.parametrize("option", [("--alpha", "nan"), ("--margin", "inf"), ("--seconds", "-1"), ("--seconds", "nan")])
def test_what_is_out_of_range_ends_before_the_module_is_executed(run, tmp_path, option):
    (tmp_path / "mine_audited.py").write_text("raise RuntimeError('executed')")
    result = run("exact", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr
    assert "executed" not in result.stderr


def test_its_own_exception_is_shown_from_its_first_frame_on(run):
    result = run("broken")
    assert (result.exit_code, result.stdout) == (2, "")
    head, *_, fault, last = result.stderr.strip().splitlines()
    assert head == "Traceback (most recent call last):"
    assert re.findall(r"in (\w+)", result.stderr) == ["broken", "weights"]
    assert fault == "KeyError: 'weights'"
    assert last == "broken raised KeyError: 'weights', on the rough toy (L = 2, n = 1)"


@pytest.mark.parametrize(
    ("name", "code", "says"), [("leaves", 2, "SystemExit: 7"), ("interrupted", 130, "interrupted")]
)
def test_leaving_is_a_fault_and_an_interruption_is_none(run, name, code, says):
    result = run(name, "--json")
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr


def test_a_child_process_does_not_spoil_the_document(run, capfd):
    result = run("child", "--json", "--seconds", "0")
    assert json.loads(result.stdout)["verdict"] == "undecided"
    out, err = capfd.readouterr()
    assert "child" not in out
    assert "chatter of a child" in err


def test_changed_settings_are_named_and_put_back(run):
    import torch

    result = run("doubles")
    assert result.exit_code == 0, result.output
    assert "changed-settings: a call changed torch's default dtype from torch.float32 to torch.float64" in result.stdout
    assert torch.get_default_dtype() == torch.float32


def test_settings_that_the_import_changes_are_named(run, tmp_path):
    from vrpo_theory.auditing.process_settings import settings_kept

    (tmp_path / "mine_audited.py").write_text(f"{SOURCE}\nimport numpy\nnumpy.seterr(all='raise')\n")
    with settings_kept():
        result = run("exact")
    assert result.exit_code == 0, result.output
    assert "importing mine_audited changed numpy's treatment of errors" in result.stderr


def test_the_example_of_the_readme_is_that_of_the_help_and_is_accepted(vrpo, tmp_path, monkeypatch):
    """Both print it; the longest answer with most masks at once would take long, so the small grid of the others."""
    block = re.search(r"```\n(import torch\n\n\ndef elbo\(model.*?)```", README, re.S)[1]
    shown = vrpo("audit", "--help", COLUMNS="80").stdout
    code = [line.split("#")[0].strip() for line in block.splitlines() if line]
    assert code == [line.split("#")[0].strip() for line in shown.splitlines() if line.split("#")[0].strip() in code]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("mine_readme.py").write_text(block)
    result = vrpo("audit", "mine_readme:elbo", "--lengths", "2", "--n", "4", "--toys", "rough")
    sys.modules.pop("mine_readme", None)
    assert result.exit_code == 0, result.output
    assert "accepted" in result.stdout


@pytest.mark.parametrize("words", ["EXECUTED", "model.config.mask_token_id", "torch.Generator", "Exit codes: 0"])
def test_the_help_states_the_contract(vrpo, words):
    assert words in vrpo("audit", "--help", COLUMNS="80").stdout


def test_a_training_loss_is_audited_as_what_it_is_a_multiple_of(run):
    result = run("loss", "--loss", "--alpha", "1e-3", "--margin", "0.05")
    assert result.exit_code == 0, result.output
    assert "the loss is taken for -ELBO/L, per token" in result.stderr
    assert "global-generator" not in result.output


@pytest.mark.parametrize(
    ("name", "says"),
    [("unweighted", "no known multiple of -ELBO/L: its mean is"), ("trainer", "no known multiple of -ELBO/L")],
)
def test_a_loss_that_is_no_multiple_is_told(run, name, says):
    result = run(name, "--loss")
    assert result.exit_code == 2
    assert says in result.stderr


def test_several_estimators_make_one_table_and_one_document(run):
    result = run("exact", "mine_audited:low")
    assert result.exit_code == 3
    rows = [line for line in result.stdout.splitlines() if "mine_audited:" in line]
    assert ["accepted" in row for row in rows] == [True, False]
    document = json.loads(run("exact", "mine_audited:low", "--json").stdout)
    assert [audit["verdict"] for audit in document["audits"].values()] == ["accepted", "rejected"]
