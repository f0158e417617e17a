"""The statements' exhibit on a few of them: known constants come out as ratios, and what is false shows."""

import pytest

from vrpo_theory import EXHIBITS
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.exhibits import bounds
from vrpo_theory.statements import STATEMENTS

EXHIBIT = EXHIBITS["bounds"]
PAPER, SHARP = "paper lhs/rhs", "sharp lhs/rhs"
RATIOS = {
    ("variance", SHARP): 1.0,
    ("lemma3_variance", PAPER): 0.25,  # sharp constant 1 over printed 4
    ("lemma3_variance", SHARP): 1.0,
    ("lemma4", PAPER): 0.2**0.5 * 0.8**2,  # the printed c, where the sharp constant is 1
    ("lemma4", SHARP): 1.0,
    ("bias_uniform", SHARP): 1.0,
    ("proposition1_allocation", SHARP): 1.0,
}
"""Largest left side over right side, by statement and form."""
NAMES = (*dict.fromkeys(name for name, _ in RATIOS), "theorem4_printed_step", "lemma5_value", "theorem3")


class Few(dict):
    """A registry of a few statements."""

    def members(self):
        return list(self.values())


@pytest.fixture(scope="module")
def cells():
    few = Few({name: STATEMENTS[name] for name in NAMES} | {"lemma4_sharp": STATEMENTS["lemma4_sharp"]})
    few |= {"gradient_variance": STATEMENTS["gradient_variance"], "theorem3_band": STATEMENTS["theorem3_band"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounds, "STATEMENTS", few)
        return {(c["row"], c["column"]["quantity"]): c for c in EXHIBIT.documents(Context())}


@pytest.mark.parametrize("place", RATIOS, ids=" ".join)
def test_best_ratio_is_the_ratio_of_constants(cells, place):
    assert cells[place]["value"] == pytest.approx(RATIOS[place], rel=2e-3)


def test_constants_stand_beside_the_ratios(cells):
    assert cells["lemma3_variance", "paper constant"]["value"] == 4
    assert cells["lemma3_variance", "sharp constant"]["value"] == 1


def test_what_is_false_is_found_out(cells):
    assert cells["theorem4_printed_step", PAPER]["value"] > 1.4


def test_what_is_no_inequality_is_a_share_of_laws(cells):
    assert cells["lemma5_value", bounds.SHARE]["value"] == 1.0
    assert 0 < cells["theorem3", bounds.SHARE]["value"] < 1


def test_every_row_says_what_it_states(cells):
    for (name, _), cell in cells.items():
        assert STATEMENTS[name].ref in cell["note"]
        assert STATEMENTS[name].tex in cell["note"]


def test_dots_are_the_inequalities(cells, tmp_path):
    figure = EXHIBIT.plot(list(cells.values()))
    for (line, *_), form in zip(figure.axes[0].containers, (PAPER, SHARP), strict=True):
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        drawn = {names[round(y)]: x for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
        assert drawn == {name: c["value"] for (name, quantity), c in cells.items() if quantity == form}
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
