"""``vrpo audit``: exit codes, one document on standard output."""

import hashlib
import json
import sys

import pytest
from typer.testing import CliRunner

from vrpo_theory.cli import app

SOURCE = """
from vrpo_theory.auditing.toys import TOYS, toy

def exact(model, prompt, answer, n, generator, shift=0.0):
    print("chatter")
    found = (toy(name, len(answer)) for name in TOYS)
    return next(t.elbo for t in found if t.predictor is model) + shift

def low(*arguments):
    return exact(*arguments, shift=-1)

def broken(*arguments):
    raise KeyError("weights")

def nothing(*arguments):
    return None
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "mine_audited.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(name, *options):
        small = ("--lengths", "2", "--n", "1", "--toys", "rough")
        return CliRunner().invoke(app, ["audit", f"mine_audited:{name}", *small, *options])

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
    assert document["provenance"]["estimator"] == f"mine_audited:{name}"
    assert document["provenance"]["source"] == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert document["provenance"]["audit"]["lengths"] == [2]
    assert {"code", "versions", "commit"} <= set(document["provenance"])
    assert (verdict in result.stderr) == (code != 0)


def test_the_table_for_people(run):
    result = run("low")
    assert result.exit_code == 3
    assert "too low" in result.stdout
    assert "no-forward: the model was never called" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("rejected: too low by 1 nats")
    assert "chatter" not in result.stdout
    assert "accepted: the bias is at most 0.01 nats a token in all 1 cells" in run("exact").stdout


@pytest.mark.parametrize(
    ("name", "options", "code", "says"),
    [
        ("broken", (), 1, "EstimatorError: broken raised KeyError: 'weights'"),
        ("nothing", (), 2, "nothing returned None"),
        ("absent", (), 2, "has no 'absent'"),
        ("exact", ("--lengths", "two"), 2, "--lengths 'two' is not a list of numbers"),
        ("exact", ("--margin", "1"), 2, "margin must lie in"),
        ("exact", ("--toys", "zebra"), 2, "unknown toys"),
    ],
)
def test_errors_are_one_line(run, name, options, code, says):
    result = run(name, *options)
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(says) or says in line
