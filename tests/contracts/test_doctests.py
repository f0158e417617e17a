"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
BASES = {"checkpoints.torch_model", "designs.base", "statements.base", "weightings.base"}
"""Where the subclassing examples stand."""


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0 == failed


def test_every_base_class_has_one():
    assert set(WITH_EXAMPLES) >= {f"vrpo_theory.{name}" for name in BASES}
