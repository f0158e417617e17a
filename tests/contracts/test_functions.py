"""No function takes more than one can hold in mind, and a way to sample is one word."""

import ast
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
MOST = 8
OPTIONS = {"auditing/runner.py audit": 12, "data/pairs.py read_pairs": 9, "models/masked_lm/checkpoint.py load": 9}
"""Entry points with more options, all of them by name: numbers that may only fall."""
PARTS = {"design", "weighting", "budget", "coupling"}


def functions(source):
    """Every function's name and parameters; a command's are its command line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            a = node.args
            every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
            yield node.name, [p.arg for p in every if p.arg not in ("self", "cls")]


FOUND = [
    (f"{path.relative_to(ROOT)} {name}", parameters)
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent.name != "cli"
    for name, parameters in functions(path.read_text(encoding="utf-8"))
]


def test_no_function_has_more_than_eight_parameters():
    assert {name: len(p) for name, p in FOUND if len(p) > MOST} == OPTIONS


def test_nobody_carries_the_parts_of_a_scheme_one_by_one():
    """A law of one response needs its design and a budget, and no more."""
    assert [name for name, parameters in FOUND if len(PARTS & set(parameters)) > 2] == []


@pytest.mark.parametrize(
    "source", ["def f(a, b, c, d, e, f, g, *, h, i): ...", "def f(a, b, c, d, e, f, g, *h, **i): ..."]
)
def test_parameters_of_every_kind_are_counted(source):
    ((name, parameters),) = functions(source)
    assert (name, len(parameters)) == ("f", 9)
