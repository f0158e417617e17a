"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vrpo_theory.cli import app

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_example_prints_what_is_printed():
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.S).groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    ours, theirs = (re.findall(r"\S+", s) for s in (out.getvalue(), printed))
    for a, b in zip(ours, theirs, strict=True):
        assert a == b or abs(float(a) - float(b)) < 1e-6


@pytest.mark.parametrize("command", ["score", "reproduce", "plan", "audit"])
def test_the_options_that_are_named_exist(command):
    lines = re.findall(rf"^(?:vrpo {command}|python -m vrpo_theory\.{command}) .*$", README, re.M)
    known = set(re.findall(r"--[a-z-]+", CliRunner().invoke(app, [command, "--help"]).stdout))
    assert lines
    assert {option for line in lines for option in re.findall(r"--[a-z-]+", line)} <= known
