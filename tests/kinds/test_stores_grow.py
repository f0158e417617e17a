"""A store grows and moves: what cannot move an evaluation is never a reason to refuse it.

A public report of the kind: bigcode-project/bigcode-evaluation-harness#284 (extend a run by more samples).
"""

import json
import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from vrpo_theory import EXHIBITS, Budget
from vrpo_theory.reproduce import Context
from vrpo_theory.runs import provenance, recording
from vrpo_theory.store import SampleStore

BASE = Path(__file__).parents[1] / "data" / "cases" / "base"
ROWS = [
    {"id": "a", "prompt_ids": [5, 6], "chosen_ids": [7, 8, 9], "rejected_ids": [10, 11]},
    {"id": "b", "prompt_ids": [5, 7], "chosen_ids": [12, 13], "rejected_ids": [14, 15, 16]},
    {"id": "c", "prompt_ids": [6], "chosen_ids": [17], "rejected_ids": [18, 19]},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def pairs(tmp_path):
    return write(tmp_path / "pairs.jsonl", ROWS)


def models(pairs, policy=BASE / "policy", reference=BASE / "reference"):
    return "--policy", policy, "--reference", reference, "--pairs", pairs


@pytest.fixture
def score(vrpo):
    """Scores pairs into a store, without an error."""

    def run(store, pairs, *options, **roles):
        result = vrpo("score", *models(pairs, **roles), "--store", store, "--json", *options)
        assert result.exit_code == 0, result.output
        return result

    return run


def margins(result):
    return {pair["id"]: pair["margin"] for pair in json.loads(result.stdout)["pairs"]}


def evaluations(store):
    with SampleStore.read(store) as found:
        return found.count()


def test_a_raised_limit_evaluates_what_is_new(score, tmp_path, pairs):
    whole = margins(score(tmp_path / "whole", pairs))
    for limit in (1, 2, 3):
        grown = margins(score(tmp_path / "s", pairs, "--limit", limit))
        assert grown == pytest.approx({name: whole[name] for name in "abc"[:limit]}, abs=1e-5)
    assert evaluations(tmp_path / "s") == evaluations(tmp_path / "whole")
    kept = [json.loads(line)["id"] for line in (tmp_path / "s" / "pairs.jsonl").read_text().splitlines()]
    assert kept == ["a", "b", "c"]


@pytest.mark.parametrize(
    "options",
    [("--beta", 0.5), ("--seed", 9), ("--method", "mc", "--n-t", 3, "--design", "strata"), ("--no-shared",),
     ("--batch-tokens", 11)],
    ids=str,
)  # fmt: skip
def test_other_options_go_on_with_the_store(score, tmp_path, pairs, options):
    score(tmp_path / "s", pairs)
    done = evaluations(tmp_path / "s")
    result = score(tmp_path / "s", pairs, *options)
    assert evaluations(tmp_path / "s") == done  # all masks were there
    assert ("--batch-tokens 4096, this one 11" in result.stderr) == ("--batch-tokens" in options)


def test_renamed_and_moved_folders_go_on_with_the_store(score, tmp_path, pairs):
    first = margins(score(tmp_path / "s", pairs))
    shutil.copytree(BASE / "policy", tmp_path / "renamed")
    shutil.move(tmp_path / "s", tmp_path / "elsewhere")
    done = evaluations(tmp_path / "elsewhere")
    assert margins(score(tmp_path / "elsewhere", pairs, policy=tmp_path / "renamed")) == first
    assert evaluations(tmp_path / "elsewhere") == done


def test_other_pairs_are_added_by_content(score, tmp_path):
    """Reordered, renamed, and with an id that another pair has."""
    score(tmp_path / "s", write(tmp_path / "one", ROWS[:2]))
    other = [ROWS[2] | {"id": "a"}, ROWS[1], ROWS[0] | {"id": "renamed"}]
    score(tmp_path / "s", write(tmp_path / "two", other))
    kept = [json.loads(line) for line in (tmp_path / "s" / "pairs.jsonl").read_text().splitlines()]
    assert [row["id"] for row in kept] == ["a", "b", "a (1)"]
    assert [row["chosen_ids"] for row in kept] == [row["chosen_ids"] for row in ROWS]


def test_a_store_of_two_models_replays_the_last_with_all_its_pairs(vrpo, score, tmp_path, pairs):
    store = tmp_path / "s"
    score(store, write(tmp_path / "one", ROWS[:1]))
    score(store, write(tmp_path / "two", ROWS[1:2]))
    score(store, write(tmp_path / "three", ROWS[2:]), policy=BASE / "reference", reference=BASE / "policy")
    score(store, write(tmp_path / "two", ROWS[1:2]))
    result = vrpo("reproduce", "likelihood", "--from-store", store, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["exhibits"]["likelihood"]["cells"]
    assert max(cell["n_pairs"] or 0 for cell in cells) == 2


@pytest.mark.parametrize("field", ["code", "versions", "device", "dtype"])
def test_what_could_move_an_evaluation_unnoticed_is_refused_by_name(vrpo, score, tmp_path, pairs, monkeypatch, field):
    score(tmp_path / "s", pairs)
    record = recording.record_fields
    monkeypatch.setattr(recording, "record_fields", lambda *a: record(*a) | {field: "other"})
    result = vrpo("score", *models(pairs), "--store", tmp_path / "s")
    assert result.exit_code == 2
    assert field in result.stderr
    assert '"other" here' in result.stderr


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('"""Other words."""\nx = 1  # why\n\n\ndef f(a: int) -> int:\n    "Doc."\n    return a + x\n', True),
        ("x = 1\ndef f(a: int) -> int:\n    return a + x\n", True),
        ("x = 1\ndef f(a: int) -> int:\n    return a - x\n", False),
        ("x = 2\ndef f(a: int) -> int:\n    return a + x\n", False),
    ],
)
def test_comments_docstrings_and_layout_are_no_other_code(text, same):
    import ast

    written = 'x = 1\ndef f(a: int) -> int:\n    """What it does."""\n    return a + x\n'
    assert (provenance._shape(ast.parse(text)) == provenance._shape(ast.parse(written))) == same


@dataclass(frozen=True)
class Tagged(Context):
    """A Context with an option more than there are."""

    temperature: float = 1.0


OTHER = {"seed": 1, "beta": 0.3, "method": "mc", "limit": 1, "batch_tokens": 7, "device": "cuda", "dtype": "bfloat16",
         "scale": "real", "recorded": True}  # fmt: skip
"""Another value of every option."""
OWN = {"gradient": "full", "protocol": "both", "pool": Budget(5, 3), "repeats": 9, "quick": True, "scale": "llada-8b"}
"""Another value of every option that some exhibit has of its own and that can move its numbers."""


@pytest.mark.parametrize("option", OTHER)
def test_every_option_is_an_input(option):
    assert OTHER.keys() | {"cases", "own", "progress"} == {field.name for field in fields(Context)}
    one, other = (provenance.provenance(Context(**values).options, {}) for values in ({}, {option: OTHER[option]}))
    assert other["options"][option] == OTHER[option]
    assert one["inputs"] != other["inputs"]


def of_own(exhibit, **own):
    """Provenance of an exhibit with values of its own options."""
    return provenance.provenance(exhibit.ready(Context(cases={"none": []}), **own).options, {})


EXHIBIT_OPTIONS = [(e, f.name) for e in EXHIBITS.members() for f in fields(e.options)]


@pytest.mark.parametrize(("exhibit", "option"), [(e, name) for e, name in EXHIBIT_OPTIONS if name != "runs"])
def test_every_exhibit_s_own_option_is_an_input(exhibit, option):
    one, other = of_own(exhibit), of_own(exhibit, **{option: OWN[option]})
    assert one["options"].keys() <= other["options"].keys()
    assert one["inputs"] != other["inputs"]


@pytest.mark.parametrize("exhibit", [e for e, name in EXHIBIT_OPTIONS if name == "runs"])
def test_a_folder_of_runs_is_an_input_by_what_is_read_of_it(exhibit, tmp_path):
    """Toys are kept under what made them, so that their folder says nothing."""

    def inputs(name, scale="llada-8b", **files):
        (tmp_path / name / "8x1").mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (tmp_path / name / "8x1" / f"{file}.json").write_text(text)
        return of_own(exhibit, scale=scale, runs=tmp_path / name)["inputs"]

    assert inputs("one", "toy", results="1") == inputs("two", "toy", results="2")
    assert inputs("one") == inputs("renamed", results="1", unread="x") != inputs("two")


def test_an_option_that_nobody_listed_is_an_input():
    names = {field.name for field in fields(Context)} - {"cases", "own", "progress"}
    assert set(Context().options) == names
    one, other = (provenance.provenance(Tagged(temperature=t).options, {})["inputs"] for t in (1.0, 2.0))
    assert one != other
    assert Context(progress=True).options == Context().options


def test_rows_that_a_store_cannot_give_are_said(vrpo, tmp_path, pairs):
    store = tmp_path / "s"
    options = ("--pool", "3,2", "--gradient", "none", "--method", "mc")
    recorded = vrpo("reproduce", "table3", *models(pairs), "--store", store, "--out", tmp_path / "a", *options)
    assert recorded.exit_code == 0, recorded.output
    command = ("reproduce", "table3", "--from-store", store, "--out", tmp_path / "b", "--pool", "3,2", "--method", "mc")
    alone = vrpo(*command)
    assert alone.exit_code == 0, alone.output
    assert "gives no variances of the gradient: they need the models" in alone.stderr
    both = vrpo(*command, "--policy", BASE / "policy")
    assert both.exit_code == 2
    assert "drop --policy" in both.stderr
