"""From paths to cases: the loader follows config.json, options reach the models, confusions are said."""

import json
import math
import shutil
from pathlib import Path

import huggingface_hub
import pytest

import vrpo_theory
from vrpo_theory import rounding
from vrpo_theory.checkpoints import placement
from vrpo_theory.errors import InputError
from vrpo_theory.exact import tabulate, true_margin
from vrpo_theory.models import masked_lm
from vrpo_theory.runs.inputs import Sources, read_cases

TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROW = {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5, 6], "rejected_ids": [7, 8]}


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(ROW))
    return path


@pytest.fixture
def berts(tmp_path):
    """Folders of two small BERTs."""
    case, folders = masked_lm.case(0), {}
    for role in ("policy", "reference"):
        folders[role] = tmp_path / role
        case.model(role).module.save_pretrained(folders[role])
        config = folders[role] / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"mask_token_id": 31}))
    return folders


def test_llada_is_loaded_as_llada(pairs, capsys):
    (case,) = read_cases(
        Sources(
            TINY / "policy", TINY / "reference", pairs, options={"dtype": "float64", "attn_implementation": "eager"}
        )
    )
    for model in (case.policy, case.reference):
        assert type(model).__name__ == "LLaDA"
        assert str(model.dtype) == "torch.float64"
        assert model.module.config._attn_implementation == "eager"
    assert capsys.readouterr().err == ""


def test_other_kinds_are_masked_language_models_of_transformers(berts, pairs):
    (case,) = read_cases(Sources(berts["policy"], berts["reference"], pairs))
    assert isinstance(case.policy, masked_lm.MaskedLM)
    assert case.policy.fingerprint == masked_lm.case(0).policy.fingerprint
    assert case.reference.fingerprint == masked_lm.case(0).reference.fingerprint


def test_scores_of_masked_language_models(vrpo, berts, pairs):
    arguments = [f"--{role}={folder}" for role, folder in berts.items()]
    result = vrpo("score", *arguments, f"--pairs={pairs}", "--json")
    assert result.exit_code == 0, result.output
    (document,) = json.loads(result.stdout)["pairs"]
    (case,) = read_cases(Sources(berts["policy"], berts["reference"], pairs))
    exact = true_margin(*tabulate([case]))
    assert math.isclose(document["margin"], exact, rel_tol=rounding.of_functional(case.policy, 8))


def test_table_of_masked_language_models(vrpo, berts, pairs, tmp_path):
    """The paper's ablation, its proxy gradient included, on models that are not LLaDA."""
    arguments = [f"--{role}={folder}" for role, folder in berts.items()]
    more = [f"--pairs={pairs}", "--repeats=3", f"--out={tmp_path / 'out'}", "--json"]
    result = vrpo("reproduce", "table3", *arguments, *more)
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["exhibits"]["table3"]["cells"]
    assert any(cell["row"] == "var_gradient" and cell["value"] > 0 for cell in cells)


def test_one_model_in_both_roles_is_said(pairs, capsys):
    (case,) = read_cases(Sources(TINY / "policy", TINY / "policy", pairs))
    assert case.policy.fingerprint == case.reference.fingerprint
    (line,) = capsys.readouterr().err.splitlines()
    assert "are one model: every score is 0" in line


def test_policy_and_reference_of_different_kinds_are_refused(berts, pairs):
    with pytest.raises(InputError, match="vocabulary: policy has 32, reference has 259"):
        read_cases(Sources(berts["policy"], TINY / "reference", pairs))


@pytest.mark.parametrize("short", ["policy", "reference"])
def test_the_shorter_of_the_two_lengths_counts(pairs, tmp_path, short):
    for role in ("policy", "reference"):
        shutil.copytree(TINY / role, tmp_path / role)
    config = tmp_path / short / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_sequence_length": 5}))
    with pytest.raises(InputError, match="prompt of 3 and chosen of 3 tokens exceed max_length 5"):
        read_cases(Sources(tmp_path / "policy", tmp_path / "reference", pairs))
    with pytest.warns(UserWarning, match="1 of 1 rows cut to 5 tokens: prompts lost 1 tokens"):
        (case,) = read_cases(Sources(tmp_path / "policy", tmp_path / "reference", pairs, truncate=True))
    assert case.pair.chosen.prompt == (2, 3)


def test_pinned_hub_ids_are_read(pairs, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: str(TINY / name.partition("/")[2]))
    (case,) = read_cases(Sources(Path(f"org/policy@{COMMIT}"), f"org/reference@{COMMIT}", pairs))
    (local,) = read_cases(Sources(TINY / "policy", TINY / "reference", pairs))
    assert case.policy.fingerprint == local.policy.fingerprint
    assert case.reference.fingerprint == local.reference.fingerprint


def test_the_adapter_is_the_policy_s(pairs, tmp_path, monkeypatch):
    attached = []
    monkeypatch.setattr(placement, "attach", lambda *arguments: attached.append(arguments))
    (case,) = read_cases(Sources(TINY / "policy", TINY / "reference", pairs, adapter=tmp_path))
    assert attached == [(case.policy.module, tmp_path)]


@pytest.mark.parametrize("missing", ["policy", "reference", "pairs"])
def test_the_three_go_together(pairs, missing):
    given = {"policy": TINY / "policy", "reference": TINY / "reference", "pairs": pairs} | {missing: None}
    with pytest.raises(InputError, match=f"missing --{missing}: "):
        read_cases(Sources(**given))
