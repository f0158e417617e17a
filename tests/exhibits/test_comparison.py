"""A stored exhibit holds where another machine's kernels made it, and nowhere else."""

import copy

import pytest
import torch

from vrpo_theory import EXHIBITS, MODELS, Case
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.comparison import COARSEST, ENGINE, _tolerance, differences
from vrpo_theory.types import ROLES

NAMES = ("allocation", "likelihood", "profile")


def case(name):
    return MODELS[name].case(0, 8)


def cast(name, dtype):
    """A case whose models compute in another precision: a stand-in for other kernels."""
    own = case(name)
    return Case(*(copy.deepcopy(own.model(role)).to(dtype) for role in ROLES), own.pair)


def cells(exhibit, own):
    return EXHIBITS[exhibit].documents(Context(cases={"mine": [own]}))


@pytest.mark.parametrize("exhibit", NAMES)
def test_rounding_of_float32_is_no_difference(exhibit):
    """Computed in float64, where float32 rounds: more than one machine's float32 is from another's."""
    own = case("toy_llada")
    stored, fresh = cells(exhibit, own), cells(exhibit, cast("toy_llada", torch.float64))
    assert stored != fresh
    assert list(differences(stored, fresh, {"mine": [own]})) == []


def test_another_model_is_a_difference():
    """One matrix a thousandth larger."""
    own, other = case("toy_llada"), case("toy_llada")
    with torch.no_grad():
        other.policy.proxy_parameters()[0].mul_(1.001)
    assert list(differences(cells("likelihood", own), cells("likelihood", other), {"mine": [own]}))


@pytest.mark.parametrize(("name", "least", "most"), [("tabular", ENGINE, ENGINE), ("toy_llada", 5e-5, 2e-4)])
def test_the_tolerance_is_the_models(name, least, most):
    assert least <= _tolerance([case(name)]).relative <= most
    assert _tolerance([cast("toy_llada", torch.bfloat16)]) == (COARSEST, COARSEST)


@pytest.mark.parametrize(
    ("model", "row", "moved", "seen"),
    [
        ("toy_llada", "mean_term", 1e-6, False),
        ("toy_llada", "mean_term", 1e-2, True),
        ("toy_llada", "bias_loss", 1e-6, True),
        ("tabular", "mean_term", 1e-6, True),
    ],
)
def test_a_difference_of_nearly_equal_sums_moves_by_their_rounding(model, row, moved, seen):
    """A neural model's alone: a bias is of second order, and tables have no rounding to speak of."""
    old = {"row": row, "column": {"model": "mine"}, "unit": "nats", "value": 1e-5}
    found = list(differences([old], [old | {"value": 1e-5 + moved}], {"mine": [case(model)]}))
    assert bool(found) == seen


CELL = {"row": "x", "column": {"model": "mine"}, "value": 1.0, "interval": [0.5, 2.0], "note": "a"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, []),
        ({"value": 1 + 1e-7}, []),
        ({"value": 1 + 1e-5}, ["value"]),
        ({"value": None}, ["value"]),
        ({"interval": [0.5, 2.1]}, ["interval"]),
        ({"interval": [0.5]}, ["interval"]),
        ({"note": "b"}, ["note"]),
    ],
    ids=str,
)
def test_what_moved_is_named(change, named):
    found = list(differences([CELL], [CELL | change], {"mine": [case("tabular")]}))
    assert [line.split("} ")[1].split(":")[0] for line in found] == named


def test_cells_are_counted():
    (found,) = differences([CELL], [], {})
    assert found == "1 cells stored, 0 recomputed"


@pytest.mark.parametrize("value", [3.0, None])
def test_a_field_that_one_side_lacks_is_a_difference(value):
    short, long = {"row": "a", "column": {}, "value": 1.0}, {"row": "a", "column": {}, "value": 1.0, "df": value}
    assert list(differences([short], [long], {})) == [f"a {{}} df: stored no such field, recomputed {value}"]
    assert list(differences([long], [short], {})) == [f"a {{}} df: stored {value}, recomputed no such field"]
