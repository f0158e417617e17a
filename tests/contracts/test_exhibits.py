"""What every exhibit promises, checked on every exhibit that is registered."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import pytest

from vrpo_theory import EXHIBITS
from vrpo_theory.reproduce import Context

ROOT = Path(__file__).parents[2]
METHODS = {"exact", "mc", "pooled", "paper"}
VERDICTS = {"agrees", "differs", "inconclusive", "order holds", "order fails", None}
SMALL = Context(limit=2)
LONGEST, LONG = 64, ("bounds", "designs")


@pytest.fixture(scope="session")
def documents(tmp_path_factory):
    """Gives the cells, with few repeats where there are any, and from quick runs where training is needed."""
    small = {"repeats": 3, "quick": True, "runs": tmp_path_factory.mktemp("runs")}

    def found(exhibit, context):
        return exhibit.documents(context, **{f.name: small[f.name] for f in fields(exhibit.options) if f.name in small})

    return found


@pytest.fixture(params=EXHIBITS.names(), scope="module")
def exhibit(request):
    return EXHIBITS[request.param]


@pytest.fixture(scope="module")
def few(exhibit):
    """The exhibit's first toys and its last that are not too long: one of each kind where it has two."""
    toys = {k: cases for k, cases in exhibit.cases(SMALL).items() if cases[0].pair.chosen.length <= LONGEST}
    return replace(SMALL, cases={label: toys[label] for label in [*[*toys][:1], *[*toys][-1:]]})


@pytest.fixture(scope="module")
def cells(exhibit, few, documents):
    return documents(exhibit, few)


def test_cells_follow_the_document(cells):
    follow_the_document(cells)


@pytest.mark.soak
def test_cells_of_all_toys_follow_the_document(exhibit, documents):
    follow_the_document(documents(exhibit, SMALL))


def follow_the_document(cells):
    assert cells
    json.dumps(cells, allow_nan=False)
    for c in cells:
        assert c["method"] in METHODS
        assert c["verdict"] in VERDICTS
        assert c["method"] != "exact" or c["stderr"] is None
        assert c["method"] != "paper" or (c["value"] is None and c["paper"] is not None)
        assert c["value"] is not None or c["note"]
        assert c["interval"] is None or c["interval"][0] <= c["interval"][1]


def test_a_cell_has_one_place(cells):
    places = [(c["row"], c["method"], json.dumps(c["column"], sort_keys=True)) for c in cells]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    "exhibit", [pytest.param(n, marks=[pytest.mark.soak] * (n in LONG)) for n in EXHIBITS.names()], indirect=True
)
def test_nothing_is_random_twice(exhibit, few, cells, documents):
    again = documents(exhibit, few)
    for a, b in zip(cells, again, strict=True):
        assert a == b or math.isclose(a["value"], b["value"], rel_tol=1e-6)


def test_picture_is_drawn_from_the_cells_alone(exhibit, cells, tmp_path):
    exhibit.plot(json.loads(json.dumps(cells))).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_is_kept_in_figures(exhibit):
    stored = json.loads((ROOT / "figures" / f"{exhibit.name}.json").read_text())
    assert stored["cells"]
    assert {"code", "commit", "inputs", "options", "versions"} <= stored["provenance"].keys()
    assert all((ROOT / "figures" / f"{exhibit.name}.{ending}").exists() for ending in ("md", "png", "svg"))
