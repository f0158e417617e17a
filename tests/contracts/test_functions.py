"""No function takes or holds more than one can hold in mind, and a way to sample is one word."""

import ast
import statistics
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
MOST_PARAMETERS, MEDIAN_LINES, MOST_LINES = 8, 5, 250
PARTS = {"design", "weighting", "budget", "coupling"}
SOURCES = {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in sorted(ROOT.rglob("*.py"))}


def functions(source):
    """Every function in a source."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def parameters(function):
    """Names of all parameters."""
    a = function.args
    every = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    return [p.arg for p in every if p.arg not in ("self", "cls")]


def lines(function):
    """Lines of the body, without the docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


FOUND = [
    (f"{path} {function.name}", parameters(function))
    for path, source in SOURCES.items()
    if not path.startswith("cli/")  # a command's parameters are its command line
    for function in functions(source)
]


def test_no_function_has_more_than_eight_parameters():
    assert [name for name, given in FOUND if len(given) > MOST_PARAMETERS] == []


def test_nobody_carries_the_parts_of_a_scheme_one_by_one():
    """A law of one response needs its design and a budget, and no more."""
    assert [name for name, given in FOUND if len(PARTS & set(given)) > 2] == []


def test_functions_are_short():
    assert statistics.median(lines(f) for source in SOURCES.values() for f in functions(source)) <= MEDIAN_LINES


def test_files_are_short():
    assert [path for path, source in SOURCES.items() if len(source.splitlines()) > MOST_LINES] == []


@pytest.mark.parametrize(
    "source", ["def f(a, b, c, d, e, f, g, *, h, i): ...", "def f(a, b, c, d, e, f, g, *h, **i): ..."]
)
def test_parameters_of_every_kind_are_counted(source):
    (function,) = functions(source)
    assert len(parameters(function)) == 9


@pytest.mark.parametrize(
    ("body", "count"), [("'''a\n    b'''", 0), ("'''a'''\n    b = (\n    1\n    )\n    return b", 4)]
)
def test_the_lines_of_a_body_are_counted(body, count):
    (function,) = functions(f"def f():\n    {body}\n")
    assert lines(function) == count
