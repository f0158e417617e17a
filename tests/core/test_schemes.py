"""A scheme's text and JSON, what it refuses, and that its draws live where they always did."""

import itertools
import json
import re
from contextlib import suppress

import numpy as np
import pytest

from vrpo_theory import DESIGNS, WEIGHTINGS, Budget, Coupling, PreferencePair, Response, Scheme
from vrpo_theory.errors import InputError
from vrpo_theory.schemes import EXAMPLE, VRPO, read_scheme

PAIR = PreferencePair(Response((5,), (1, 2, 3, 4)), Response((5,), (4, 3, 2)))
STRATA, POWER = DESIGNS["strata"](), DESIGNS["power_strata"]()
TWO_WAY = WEIGHTINGS["two_way"]()


def together():
    """Every example of a design with every example of weights that is unbiased under it."""
    for design, weighting in itertools.product(DESIGNS.members(), WEIGHTINGS.members()):
        for own, weights in itertools.product(design.examples(), weighting.examples()):
            with suppress(ValueError):  # weights that are biased under the design
                yield Scheme(own, weights, own.split(8), Coupling(shared=False), groups=3)


def test_text_and_json_are_read_back():
    schemes = list(together())
    assert {type(s.design) for s in schemes} == set(DESIGNS.members())
    assert {type(s.weighting) for s in schemes} == set(WEIGHTINGS.members())
    for scheme in schemes:
        assert Scheme.parse(str(scheme)) == scheme
        assert Scheme.from_document(json.loads(json.dumps(scheme.document()))) == scheme


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("", VRPO),
        ("strata", Scheme(STRATA)),
        (EXAMPLE, Scheme(DESIGNS["power_strata"](2.0), TWO_WAY, Budget(8, 1), groups=2)),
        ("n_yt=4, weighting=two_way", Scheme(weighting=TWO_WAY, budget=Budget(8, 4))),
        ("iid_count(), levels_shared=True", Scheme(coupling=Coupling(levels_shared=True))),
        ("strata, rejected=power_strata()", Scheme(STRATA, rejected=POWER)),
        ("strata, rejected=strata()", Scheme(STRATA)),
    ],
)
def test_what_is_left_out_is_vrpos_choice(text, scheme):
    assert Scheme.parse(text) == scheme
    assert Scheme.parse(scheme.text) == scheme


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("plan.json", "no file"),
        ("unknown", "choose from"),
        ("strata, plain, plain", "two members at most"),
        ("strata, design=strata", "each option once"),
        ("n_t=8, n_t=4", "each option once"),
        ("n_t=0", "n_t must be"),
        ("n_t=2 + 6", "n_t must be a number"),
        ("groups=True", "groups must be"),
        ("shared=1", "True or False"),
        ("n_x=3", "'n_x'"),
        ("strata) + (plain", "not of the form"),
        ("*strata", "not of the form"),
        ("strata(", "not of the form"),
        ("coupled, n_t=8", "n_t odd"),
        ("coupled, cross_fitted", "biased"),
        ("strata, levels_shared=True, rejected=iid_count", "one design"),
    ],
)
def test_what_does_not_exist_or_go_together_is_refused_in_one_line(text, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read_scheme(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"design": 3}, {"weighting": None}, {"groups": "2"}, {"n_t": 8.0}, {"shared": "no"}])
def test_json_of_other_types_is_refused(wrong):
    with pytest.raises(ValueError, match=re.escape(repr(*wrong.values()))):
        Scheme.from_document(wrong)


def test_parts_of_other_kinds_are_refused():
    for wrong in ({"design": "strata"}, {"weighting": STRATA}, {"budget": 8}, {"coupling": True}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a"):
            Scheme(**wrong)


@pytest.mark.parametrize(
    "write", [str, lambda s: json.dumps(s.document()), lambda s: json.dumps({"run": s.document()})]
)
def test_a_file_holds_text_or_json_or_a_plan(tmp_path, write):
    file, scheme = tmp_path / "plan.json", Scheme.parse(EXAMPLE)
    file.write_text(write(scheme) + "\n")
    assert read_scheme(str(file)) == scheme


@pytest.mark.parametrize("content", ["{", '{"runs": {}}', "nothing", "\0"])
def test_a_file_with_anything_else_is_refused_by_name(tmp_path, content):
    file = tmp_path / "plan.json"
    file.write_text(content)
    with pytest.raises(InputError, match=re.escape(str(file))):
        read_scheme(str(file))


def test_groups_are_drawn_one_after_the_other():
    scheme = Scheme(POWER, budget=Budget(4), groups=3)
    draws = scheme.draws(PAIR, seed=7, repeat=2)
    assert [d.group for d in draws] == [0, 0, 1, 1, 2, 2]
    apart = [d for group in range(3) for d in scheme.draw(PAIR, seed=7, repeat=2, group=group)]
    assert all(np.array_equal(a.masks.mask, b.masks.mask) for a, b in zip(draws, apart, strict=True))
    assert scheme.passes == 12


def test_each_response_can_have_its_own_design():
    both = Scheme(STRATA, rejected=POWER).draw(PAIR, seed=1)
    for side, design in enumerate((STRATA, POWER)):
        assert np.array_equal(both[side].masks.mask, Scheme(design).draw(PAIR, seed=1)[side].masks.mask)


@pytest.mark.parametrize(
    ("sharing", "masks"),
    [
        ("", "0010 1010 0111, 001 110 111"),
        ("shared=False", "1000 0011 1111, 0010 1001 1110, 010 101 111, 010 011 111"),
        ("levels_shared=True", "0010 1010 1111, 001 110 111"),
        ("shared=False, levels_shared=True", "1000 0011 0111, 010 101 111, 0010 1001 1110, 010 011 111"),
    ],
)
def test_addresses_do_not_move(sharing, masks):
    draws = Scheme.parse(f"power_strata, n_t=3, {sharing}").draw(PAIR, seed=11, repeat=5, group=1)
    assert ", ".join(" ".join("".join(map(str, row)) for row in d.masks.mask.astype(int)) for d in draws) == masks


def test_groups_under_vrpo_are_more_timesteps():
    assert Scheme(budget=Budget(4, 2), groups=3).vrpo_budget == Budget(12, 2)
    for other in (Scheme(STRATA), Scheme(weighting=TWO_WAY), Scheme(rejected=STRATA)):
        with pytest.raises(ValueError, match="iid_count"):
            _ = other.vrpo_budget
