"""Making the toy's files and checking them, with a recipe of a few steps."""

import copy
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from vrpo_theory.models.base import fingerprint
from vrpo_theory.models.llada import load
from vrpo_theory.training import Schedule, Supervised, Vrpo
from vrpo_theory.training.toy import checking, package, recipe, tuning
from vrpo_theory.training.toy.__main__ import app
from vrpo_theory.types import ROLES

SHORT = replace(
    recipe.RECIPE, responses=8, pairs=2, supervised=Schedule(4, 1e-2), preference=Schedule(3, 1e-3), anchor=0.1
)
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(recipe, "RECIPE", SHORT)
    for name, value in (("PAIRS", 2), ("PROMPTS", 2)):
        monkeypatch.setattr(package, name, value)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    torch.set_num_threads(1)  # as the command does: weights are the same bit for bit at equal threads
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "PAIRS", 2)
        patch.setattr(package, "PROMPTS", 2)
        package.make(folder, SHORT)
    return folder


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_folder_holds_models_pairs_and_card(made):
    wanted = {"card.json", "pairs.json"} | {f"{role}/{name}" for role in ROLES for name in ("config.json", WEIGHTS)}
    assert set(files(made)) == wanted
    card = json.loads((made / "card.json").read_text())
    assert len(card["losses"]["supervised"]) == len(card["losses"]["preference"]) == 3
    assert load(made / "policy").fingerprint != load(made / "reference").fingerprint
    assert set(card["accuracy"]["policy"]) == {"low_confidence", "diffusion"}


def test_a_run_that_was_cut_off_makes_the_same_files(made, tmp_path, monkeypatch):
    """Interrupted in the second stage's second step, after a first stage that is not done again."""
    backward = Vrpo.backward

    def cut(self, model, step):
        if step == 1:
            raise KeyboardInterrupt
        return backward(self, model, step)

    with monkeypatch.context() as patch:
        patch.setattr(Vrpo, "backward", cut)
        result = run("--out", tmp_path)
        assert result.exit_code == 130
        assert "to resume" in result.stderr
    assert set(files(tmp_path)) == {"supervised.checkpoint.safetensors"}
    with monkeypatch.context() as patch:
        patch.setattr(Supervised, "backward", None)
        assert run("--out", tmp_path).exit_code == 0
    ours, theirs = files(tmp_path), files(made)
    assert ours.keys() == theirs.keys()
    assert all(ours[name] == theirs[name] for name in ours if name != "card.json")


@pytest.fixture
def _made_again(made, monkeypatch):
    """In place of another training of the same weights."""
    monkeypatch.setattr(package, "make", lambda folder, _: shutil.copytree(made, folder, dirs_exist_ok=True))


def test_check_trains_again(made, monkeypatch):
    monkeypatch.setattr(package, "PACKAGED", made)
    result = run("--check")
    assert result.exit_code == 0
    assert "bit for bit" in result.stdout


def changed(made, folder, factor):
    """A copy whose reference has other weights."""
    shutil.copytree(made, folder)
    file = folder / "reference" / WEIGHTS
    save_file({name: factor * tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    card = json.loads((folder / "card.json").read_text())
    card["weights"]["reference"] = "changed"
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.mark.usefixtures("_made_again")
@pytest.mark.parametrize(
    ("factor", "code", "said"), [(1.00001, 0, "nats per token"), (3.0, 3, "ELBOs of the reference")]
)
def test_check_allows_rounding_and_no_more(made, tmp_path, monkeypatch, factor, code, said):
    monkeypatch.setattr(package, "PACKAGED", changed(made, tmp_path / "kept", factor))
    result = run("--check")
    assert result.exit_code == code
    assert said in result.output


def test_check_compares_accuracies(made):
    card = json.loads((made / "card.json").read_text())
    better = copy.deepcopy(card)
    for value, other in ((0.5, 0.8), (0.8, 0.5)):
        card["accuracy"]["policy"]["diffusion"]["sums"] = {"value": value, "stderr": 0.02}
        better["accuracy"]["policy"]["diffusion"]["sums"] = {"value": other, "stderr": 0.02}
        (found,) = checking.accuracies_apart(better, card)
        assert found.startswith("policy, diffusion, sums")


def test_a_checkpoint_of_another_recipe_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "RECIPE", replace(SHORT, mistakes=0.9))
    monkeypatch.setattr(Vrpo, "backward", lambda *_: float("nan"))
    result = run("--out", tmp_path)
    assert result.exit_code == 1
    assert "step 0: the loss is nan" in result.stderr
    monkeypatch.setattr(recipe, "RECIPE", SHORT)
    result = run("--out", tmp_path)
    assert result.exit_code == 2
    assert "other options" in result.stderr


def test_tuning_tries_every_cell_and_a_control(made, tmp_path, monkeypatch):
    for name, value in (("RATES", (1e-4, 1e-3)), ("STEPS", (1, 2)), ("PROMPTS", 2)):
        monkeypatch.setattr(tuning, name, value)
    shutil.copytree(made, tmp_path / "toy")
    assert run("--tune", "--out", tmp_path / "toy").exit_code == 0
    found = json.loads((tmp_path / "toy" / "tuning.json").read_text())
    assert [(c["rate"], c["steps"]) for c in found["cells"]] == [(1e-4, 1), (1e-4, 2), (1e-3, 1), (1e-3, 2)]
    assert found["reference"] == fingerprint(load(made / "reference").parameters())
    assert {name: found["control"][name] for name in found["choice"]} == found["choice"]


def test_the_choice_is_the_least_within_an_error_of_the_best():
    cells = [
        {"rate": rate, "steps": steps, "score": score, "stderr": 0.02}
        for rate, steps, score in ((1.0, 10, 0.70), (1.0, 20, 0.79), (2.0, 20, 0.80), (9.0, 20, 0.5))
    ]
    assert tuning.choose(cells) is cells[1]
    assert tuning.choose(cells[:1] + cells[2:]) is cells[2]
