"""How ``vrpo`` is entered: help, version, completion, lists of members, and what is refused before anything runs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vrpo_theory
from vrpo_theory.errors import InputError
from vrpo_theory.runs.parsing import numbers

COMMANDS = ("reproduce", "score", "plan", "train", "audit", "report", "inspect", "list")
FAMILIES = ("designs", "weightings", "losses", "samplers", "models", "exhibits", "statements")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=str)
def test_short_and_long_help_are_one(vrpo, command):
    short, long = vrpo(*command, "-h"), vrpo(*command, "--help")
    assert (short.exit_code, short.stdout) == (0, long.stdout)
    assert "-h, --help" in short.stdout


def test_no_arguments_are_bad_usage_with_help(vrpo):
    result = vrpo()
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(f"  {name}" in result.stderr for name in COMMANDS)
    assert "..." not in result.stderr.split("Commands:")[1]  # no summary is cut


def test_the_version(vrpo):
    assert vrpo("--version").stdout == f"vrpo {vrpo_theory.__version__}\n"


@pytest.mark.parametrize("module", ["vrpo_theory", "vrpo_theory.cli"])
def test_modules_are_the_command(module):
    run = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"vrpo {vrpo_theory.__version__}\n"


@pytest.mark.parametrize(
    ("words", "completed"), [("vrpo pl", ["plan"]), ("vrpo list de", ["designs"]), ("vrpo score --method e", ["exact"])]
)
def test_shells_complete(vrpo, words, completed):
    result = vrpo(_VRPO_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
    assert result.stdout.split() == completed


@pytest.mark.parametrize("family", FAMILIES)
def test_members_are_listed_with_a_line_each(vrpo, family):
    entries = json.loads(vrpo("list", family, "--json").stdout)[family]
    registry = getattr(vrpo_theory, family.upper())
    assert [e["name"] for e in entries] == registry.names()
    assert all(e["description"] and "\n" not in e["description"] for e in entries)
    assert all(registry[alias] is registry[e["name"]] for e in entries for alias in e["aliases"])
    lines = vrpo("list", family).stdout.splitlines()
    assert [line.split()[0] for line in lines] == registry.names()


def test_aliases_and_families_are_listed(vrpo):
    assert "iid_count (vrpo)" in vrpo("list", "designs").stdout
    assert "table3 (table2)" in vrpo("list", "exhibits").stdout
    assert [line.split()[0] for line in vrpo("list").stdout.splitlines()] == list(FAMILIES)
    assert vrpo("list", "planets").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("score",), "missing --policy, --reference, --pairs"),
        (("plan", "--pairs", "p.jsonl"), "missing --policy, --reference"),
        (("audit",), "missing"),
        (("reproduce",), "name one or more exhibits"),
        (("score", "--polcy", "x"), "No such option"),
        (("zebra",), "No such command"),
        (("audit", "m:f", "--seed", "-1"), "not a seed"),
        (("audit", "m:f", "--seed", str(2**64)), "not a seed"),
        (("reproduce", "table3", "--beta", "nan"), "not a finite number"),
    ],
)
def test_usage_errors_go_to_standard_error(vrpo, arguments, says):
    result = vrpo(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("text", ["nan", "1,inf", "-1", "1,,2", "", "1;2", "1e999"])
def test_lists_of_numbers_are_finite_and_not_negative(text):
    with pytest.raises(InputError, match=r"^--cost '"):
        numbers(text, float, "--cost")


def _imports_torch(pid):
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="sees from /proc that torch is being imported")
def test_an_interruption_while_torch_is_imported_is_quiet(tmp_path):
    command = [sys.executable, "-m", "vrpo_theory", "audit", "no_such_module:elbo"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(vrpo_theory.__file__).parents[1])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not _imports_torch(process.pid):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
