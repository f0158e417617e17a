"""A new member of any family is one new file: put one of each into a folder, and every contract runs on them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = {
    "designs": '''
"""Equal strata once more."""
from dataclasses import dataclass

from vrpo_theory.designs.base import DESIGNS
from vrpo_theory.designs.strata import Strata


@dataclass(frozen=True)
class Newcomer(Strata):
    """Equal strata under another name."""

    name = "newcomer"


DESIGNS.add(Newcomer.name, Newcomer)
''',
    "weightings": '''
"""Plain weights once more."""
from dataclasses import dataclass

from vrpo_theory.weightings.base import WEIGHTINGS
from vrpo_theory.weightings.plain import Plain


@dataclass(frozen=True)
class Newcomer(Plain):
    """Plain weights under another name."""

    name = "newcomer"


WEIGHTINGS.add(Newcomer.name, Newcomer)
''',
    "losses": '''
"""DPO once more."""
from dataclasses import dataclass

from vrpo_theory.losses.base import LOSSES
from vrpo_theory.losses.dpo import Dpo


@dataclass(frozen=True)
class Newcomer(Dpo):
    """DPO's loss under another name."""

    name = "newcomer"


LOSSES.add(Newcomer.name, Newcomer)
''',
    "samplers": '''
"""Random remasking once more."""
from dataclasses import dataclass

from vrpo_theory.samplers.base import SAMPLERS
from vrpo_theory.samplers.diffusion import Diffusion


@dataclass(frozen=True)
class Newcomer(Diffusion):
    """Random remasking under another name."""

    name = "newcomer"


SAMPLERS.add(Newcomer.name, Newcomer)
''',
    "models": '''
"""Markov chains, drawn elsewhere."""
from vrpo_theory.models import markov


def case(seed, length=8):
    return markov.case(1000 + seed, length)
''',
    "statements": '''
"""Half of Lemma 1."""
from vrpo_theory.statements import lemma1  # registers the printed form
from vrpo_theory.statements.base import STATEMENTS, state

printed = STATEMENTS["lemma1_concave"]


@state("newcomer", "ours", printed.tex, printed.relation, printed.domain, witness=printed.witness,
       violated_by=printed.violated_by, assumptions=printed.assumptions)
def newcomer(x):
    """As Lemma 1: Jensen's inequality for a concave function."""
    return printed.sides(x)
''',
    "reproduce.exhibits": '''
"""The reference's share of nothing: an exhibit with an option of its own."""
from dataclasses import dataclass
from typing import Annotated

import typer

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Exhibit, exhibit
from vrpo_theory.reproduce.options import Options


@dataclass(frozen=True)
class Mine(Options):
    """What the newcomer can be told."""

    height: Annotated[float, typer.Option(help="height of the only point")] = 1.0


def compute(context):
    return [Cell("height", {"model": "none"}, context.own.height)]


def plot(cells):
    figure, (ax,) = plotting.panels(1)
    plotting.grouped_dots(ax, {"one": {"point": (cells[0]["value"], None)}}, title="one point", ylabel="height")
    return figure


exhibit(Exhibit(name="newcomer", title="One point", paper_ref="ours", compute=compute, plot=plot, options=Mine))
''',
}
CONTRACTS = ("tests/contracts/test_designs.py", "tests/contracts/test_losses.py", "tests/contracts/test_samplers.py",
             "tests/contracts/test_models.py", "tests/contracts/test_exhibits.py",
             "tests/statements/test_every_statement.py")  # fmt: skip


@pytest.fixture(scope="module")
def newcomers(tmp_path_factory):
    """A folder with a member of every family, and the environment of processes that see them."""
    folder = tmp_path_factory.mktemp("newcomers")
    for family, text in MEMBERS.items():
        place = folder / family.replace(".", "/")
        place.mkdir(parents=True)
        (place / "newcomer.py").write_text(text)
    plugin = "import importlib\n" + "".join(
        f"importlib.import_module('vrpo_theory.{family}').__path__.append({str(folder / family.replace('.', '/'))!r})\n"
        for family in MEMBERS
    )
    (folder / "newcomers.py").write_text(plugin)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])}


def run(environment, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_contracts_find_them_and_hold(newcomers):
    options = ("-p", "newcomers", "-p", "no:cacheprovider", "-p", "no:xdist", "-vv", "-k", "newcomer", "-m", "not soak")
    kept = "--deselect", "tests/contracts/test_exhibits.py::test_is_kept_in_figures"
    result = run(newcomers, "-m", "pytest", *options, *kept, *CONTRACTS)
    assert result.returncode == 0, result.stdout[-3000:]
    assert all(f"{path}::" in result.stdout for path in CONTRACTS), result.stdout[-3000:]


def test_an_exhibit_s_own_option_is_on_the_command_line_and_in_the_record(newcomers, tmp_path):
    program = "import newcomers, vrpo_theory.cli; vrpo_theory.cli.main()"
    result = run(newcomers, "-c", program, "reproduce", "newcomer", "--height", "2.5", "--out", str(tmp_path), "--json")
    assert result.returncode == 0, result.stderr
    assert '"value": 2.5' in result.stdout
    assert '"height": 2.5' in result.stdout


def test_the_record_says_how_to_name_them(newcomers):
    options = ("-q", "-p", "newcomers", "-p", "no:cacheprovider", "-k", "registries")
    result = run(newcomers, "-m", "pytest", *options, "tests/contracts/test_record.py")
    assert result.returncode == 1
    assert "python -m vrpo_theory.reproduce.record" in result.stdout
