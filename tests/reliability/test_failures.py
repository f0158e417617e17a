"""Every failure seen in public code has tests that would catch it, and they say where it was seen."""

import ast
from pathlib import Path

import pytest

from .failures import FAILURES, SURVIVED
from .plants import PLANTS

ROOT = Path(__file__).parents[2]
EVERY = FAILURES | SURVIVED | PLANTS


def named(test):
    """The function that a test's id names; none if it is not there."""
    path, _, name = test.partition("::")
    found = ast.walk(ast.parse((ROOT / path).read_text()))
    return next((node for node in found if isinstance(node, ast.FunctionDef) and node.name == name), None)


@pytest.mark.parametrize("name", EVERY)
def test_what_would_catch_it_is_there(name):
    assert EVERY[name].tests
    assert [test for test in EVERY[name].tests if named(test) is None] == []


@pytest.mark.parametrize("name", FAILURES)
def test_its_first_test_cites_the_threads(name):
    text = ast.get_docstring(named(FAILURES[name].tests[0])) or ""
    assert FAILURES[name].links
    assert [link for link in FAILURES[name].links if link not in text] == []


@pytest.mark.parametrize("name", EVERY)
def test_a_slip_that_brings_it_back_can_be_made(name):
    """`slips.py` makes it and sees the tests fail."""
    assert EVERY[name].slip.tree()
