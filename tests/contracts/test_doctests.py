"""The examples in docstrings are true, and there is one of every public function and class, and of every base."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import vrpo_theory
from vrpo_theory.checkpoints.decoders import Decoder
from vrpo_theory.checkpoints.torch_model import TorchModel
from vrpo_theory.designs.base import Design
from vrpo_theory.losses.base import Loss
from vrpo_theory.reproduce.base import Exhibit
from vrpo_theory.statements.base import Statement
from vrpo_theory.weightings.base import Weighting

ROOT = Path(vrpo_theory.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
BASES = (Decoder, Design, Exhibit, Loss, Statement, TorchModel, Weighting)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0 == failed


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_every_base_says_how_a_member_is_made(base):
    assert ">>> " in inspect.getdoc(base)


def test_every_public_function_and_class_has_an_example():
    public = [(name, getattr(vrpo_theory, name)) for name in vrpo_theory.__all__]
    shown = [(name, item) for name, item in public if inspect.isroutine(item) or inspect.isclass(item)]
    assert len(shown) > 20
    assert [name for name, item in shown if ">>> " not in inspect.getdoc(item)] == []
