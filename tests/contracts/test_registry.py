"""Families find their members by themselves."""

import pytest

import vrpo_theory
from vrpo_theory.registry import Registry, leaves

FAMILIES = [
    vrpo_theory.DESIGNS,
    vrpo_theory.WEIGHTINGS,
    vrpo_theory.LOSSES,
    vrpo_theory.SAMPLERS,
    vrpo_theory.STATEMENTS,
    vrpo_theory.EXHIBITS,
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.kind)
def test_members_are_found_and_named(family):
    assert family.names()
    for name, member in zip(family.names(), family.members(), strict=True):
        assert family[name] is member
        assert member.name == name
        assert (member.__doc__ or "").strip()


@pytest.mark.parametrize("family", [*FAMILIES, vrpo_theory.MODELS], ids=lambda f: f.kind)
def test_an_unknown_name_lists_the_known(family):
    with pytest.raises(KeyError, match=family.names()[0]):
        family["no such member"]


def test_a_name_is_taken_once():
    registry = Registry("thing", "vrpo_theory.designs")
    registry.add("a", 1, aliases=("b",))
    for taken in ("a", "b"):
        with pytest.raises(ValueError, match="already registered"):
            registry.add(taken, 2)


def test_a_new_file_is_a_new_member(tmp_path, monkeypatch):
    folder = tmp_path / "family_for_test"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from vrpo_theory.registry import Registry\nF = Registry('f', 'family_for_test')\n"
    )
    (folder / "leaf.py").write_text("from family_for_test import F\nF.add('found', 1)\n")
    (folder / "_helper.py").write_text("raise RuntimeError('private modules are no members')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import family_for_test

    assert leaves("family_for_test") == ["leaf"]
    assert family_for_test.F.names() == ["found"]
