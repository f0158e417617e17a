"""How an estimator is found, called and checked."""

import functools
import hashlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from vrpo_theory.auditing import EstimatorError, load, source_digest
from vrpo_theory.auditing.estimator import Estimator
from vrpo_theory.auditing.toys import toy
from vrpo_theory.errors import InputError

TOY = toy("rough", 2)


def called(function, n=2, batch_size=None):
    return Estimator(function)(TOY, n, batch_size, torch.Generator().manual_seed(1))


def returning(value):
    return lambda model, prompt, answer, n, generator: value


@pytest.mark.parametrize(
    "value",
    [
        -1.5,
        np.float32(-1.5),
        np.array(-1.5),
        Fraction(-3, 2),
        torch.tensor(-1.5),
        torch.tensor([[-1.5]]),
        np.array([-1.5]),
    ],
)
def test_a_number_is_a_number(value):
    number, stderr = called(returning(value))
    assert number == -1.5
    assert np.isnan(stderr)


@pytest.mark.parametrize(
    ("stderr", "found"), [(0.25, 0.25), (torch.tensor(0.25), 0.25), (None, np.nan), (float("nan"), np.nan), (0, 0.0)]
)
def test_a_standard_error_may_come_with_it(stderr, found):
    assert called(returning((-2, stderr))) == pytest.approx((-2.0, found), nan_ok=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        True,
        1j,
        float("nan"),
        float("-inf"),
        torch.zeros(2),
        np.zeros((2, 1)),
        (1, 2, 3),
        {},
        torch.tensor(1j),
        torch.zeros((), device="meta"),
        10**400,
    ],
)
def test_anything_else_is_bad_input(value):
    with pytest.raises(InputError, match="one finite number"):
        called(returning(value))


@pytest.mark.parametrize("stderr", [-0.1, float("inf"), "x", torch.zeros(2)])
def test_a_bad_standard_error_is_bad_input(stderr):
    with pytest.raises(InputError, match="standard error"):
        called(returning((-1.0, stderr)))


def test_its_own_exception_is_named_with_the_place():
    def broken(model, prompt, answer, n, generator):
        raise AssertionError("first line\nsecond line")

    with pytest.raises(
        EstimatorError, match=r"^broken raised AssertionError: first line, on the rough toy \(L = 2, n = 3\)$"
    ):
        called(broken, n=3)


def test_what_it_is_given():
    seen = {}

    class Callable:
        def __call__(self, model, prompt_ids, answer_ids, n, generator, *, batch_size):
            seen.update(n=n, batch_size=batch_size, ids=(prompt_ids.clone(), answer_ids.clone()), seed=generator)
            answer_ids.fill_(0)  # the ids are its own
            assert next(model.parameters()).device == model.device
            return -1.0

    estimator = Estimator(Callable())
    assert estimator.takes_batch_size
    for _ in range(2):
        estimator(TOY, 4, 16, torch.Generator())
    assert (seen["n"], seen["batch_size"]) == (4, 16)
    assert [(x.dtype, tuple(x.tolist())) for x in seen["ids"]] == [
        (torch.int64, TOY.prompt),
        (torch.int64, TOY.answer),
    ]
    assert isinstance(seen["seed"], torch.Generator)
    assert not Estimator(returning(0)).takes_batch_size
    assert not Estimator(lambda model, prompt, answer, n, generator, **more: 0).takes_batch_size


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (3, "callable, got int"),
        (lambda: 0, "cannot be called with .*five parameters in this order"),
        (lambda model, prompt, answer, n, generator, scale: 0, "missing a required argument: 'scale'"),
        (lambda **named: 0, "too many positional arguments"),
    ],
)
def test_what_cannot_be_called_so_is_bad_input(function, says):
    with pytest.raises(InputError, match=says):
        Estimator(function)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_it_is_found_in_the_current_directory(here):
    (here / "mine_found.py").write_text("class A:\n    @staticmethod\n    def f(): return 7\n")
    assert load("mine_found:A.f")() == 7


def test_its_source_is_hashed():
    assert source_digest(called) == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert source_digest(print) is None
    assert source_digest(functools.partial(called)) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "write MODULE:FUNCTION"),
        (":f", "write MODULE:FUNCTION"),
        ("mine:", "write MODULE:FUNCTION"),
        (".mine:f", "write MODULE:FUNCTION"),
        ("mine_loose.py:f", "names a file.*as in mine_loose:f"),
        ("folder/mine_loose:f", "names a file.*as in mine_loose:f"),
        ("no_such_module:f", "no module named 'no_such_module'"),
        ("mine_loose:g", "no 'g' in mine_loose .*its functions are f"),
        ("mine_loose:x", "of type int, not a function"),
        ("mine_loose.deeper:f", "no module named 'mine_loose.deeper'"),
    ],
)
def test_what_is_not_there_is_bad_input(here, name, says):
    (here / "mine_loose.py").write_text("x = 3\ndef f(): pass\n")
    with pytest.raises(InputError, match=says) as caught:
        load(name)
    assert not isinstance(caught.value, EstimatorError)


@pytest.mark.parametrize(
    ("source", "says", "shown"),
    [
        ("def f():\n    1 / 0\nf()\n", "raised ZeroDivisionError: division by zero", "in f"),
        ("def f(:\n", r"no valid Python \(.*mine_fails.py, line 1: ", "def f(:"),
        ("import mine_wrong\n", r"no valid Python \(.*mine_wrong.py, line 2: ", "import mine_wrong"),
        ("import no_such_package\n", "No module named 'no_such_package': install", "import no_such_package"),
        ("raise ModuleNotFoundError('x')\n", "raised ModuleNotFoundError: x: install", "raise"),
        ("import sys; sys.exit('usage: ...')\n", r"SystemExit\('usage: ...'\): .* __name__", "sys.exit"),
    ],
)
def test_a_module_that_fails_is_shown_from_its_first_frame_on(here, source, says, shown):
    (here / "mine_fails.py").write_text(source)
    (here / "mine_wrong.py").write_text("\nx = = 1\n")
    with pytest.raises(EstimatorError, match=f"^importing mine_fails.*{says}") as caught:
        load("mine_fails:f")
    assert shown in caught.value.trace
    assert "importlib" not in caught.value.trace


def test_an_interruption_while_importing_is_none_of_its_faults(here):
    (here / "mine_stops.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load("mine_stops:f")
