"""What stands beside the package: how to cite it, how to set it up, that its types reach a client."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import yaml

import vrpo_theory

ROOT = Path(__file__).parents[2]
CLIENT = """
from typing import Any
from vrpo_theory import (
    MODELS, Budget, Case, Coupling, PreferencePair, Response, Scheme, margin_variance, profiles, score_pairs, tabulate,
)

pair = PreferencePair(Response((0,), (1, 2)), Response((0,), (3,)))
toy = MODELS["markov"].case(0, 4)
case = Case(toy.policy, toy.reference, pair)
scheme: Scheme = Scheme(budget=Budget(8), coupling=Coupling(shared=False))
(found,) = tabulate([case])
variance: float = margin_variance(profiles(found), scheme)
documents: list[dict[str, Any]] = score_pairs([case], scheme)
score_pairs([case], scheme, bta=0.2)  # type: ignore[call-arg]
"""


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["version"] == vrpo_theory.__version__
    assert "2505.19223" in cited["references"][0]["url"]


def test_a_type_checker_sees_every_public_name():
    source = Path(vrpo_theory.__file__).read_text()
    (block,) = (n for n in ast.parse(source).body if isinstance(n, ast.If) and isinstance(n.test, ast.Name))
    assert sorted(alias.asname for node in block.body for alias in node.names) == vrpo_theory.__all__


def test_pre_commit_is_what_make_test_begins_with():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    made = re.search(r"^test: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1]
    lines = [line.strip().replace("$(BIN)", ".venv/bin") for line in made.splitlines()]
    assert [hook["entry"] for hook in hooks] == lines[: len(hooks)]
    assert not re.search("ruff|mypy", "".join(lines[len(hooks) :]))


def test_types_reach_a_client(tmp_path):
    """--strict, as of this project, refuses an ignored error that is none; its cache is warm after ``make test``."""
    (tmp_path / "client.py").write_text(CLIENT)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "client.py")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
