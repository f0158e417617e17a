"""The record lists what there is, and the figures were drawn from what there is."""

import json
from pathlib import Path

import pytest

from vrpo_theory import EXHIBITS
from vrpo_theory.reproduce import Context
from vrpo_theory.reproduce.record import FILES, REFRESH, TABLES, refreshed
from vrpo_theory.runs.provenance import provenance, unaltered

ROOT = Path(__file__).parents[2]
NAMED = ("options", "models", "pairs")


def test_tables_of_members_are_those_of_the_registries():
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
    assert all(f"<!-- table of {name} -->" in "".join(texts.values()) for name in TABLES)
    for name, text in texts.items():
        assert refreshed(text, ROOT) == text, f"{name} says other things than there are: run {REFRESH}"


@pytest.mark.parametrize("exhibit", EXHIBITS.members(), ids=lambda e: e.name)
def test_stored_figures_are_of_today_s_toys_and_options(exhibit):
    redraw = f"run python -m vrpo_theory.reproduce {exhibit.name} --out figures"
    path = ROOT / "figures" / f"{exhibit.name}.json"
    assert path.exists(), f"{path} is missing: {redraw}"
    stored, ready = json.loads(path.read_text()), exhibit.ready(Context())
    assert unaltered(stored), f"{path} was edited by hand: {redraw}"
    now = json.loads(json.dumps(provenance(ready.options, ready.cases)))
    changed = [name for name in NAMED if stored["provenance"][name] != now[name]]
    assert not changed, f"{path} was drawn from other {', '.join(changed)}: {redraw}"
