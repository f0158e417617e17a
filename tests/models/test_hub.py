"""Hub ids: pinned to a commit, data files only, one line where they cannot be had."""

import fnmatch
import sys
from pathlib import Path

import huggingface_hub
import pytest

import vrpo_theory
from vrpo_theory.checkpoints.folder import WANTED, local_folder
from vrpo_theory.errors import InputError
from vrpo_theory.models.llada import load, tiny
from vrpo_theory.models.masked_lm import load as load_masked

TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny" / "policy"
NAME, COMMIT = "GSAI-ML/LLaDA-8B-Instruct", "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the hub, which answers with the tiny model."""
    calls = []

    def snapshot_download(name, **options):
        calls.append((name, options))
        return str(TINY)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


@pytest.mark.parametrize("arguments", [{"revision": COMMIT}, {}], ids=["revision", "at"])
def test_a_pinned_id_is_downloaded_and_read_as_a_folder(calls, arguments):
    name = NAME if arguments else f"{NAME}@{COMMIT}"
    assert load(name, **arguments).fingerprint == tiny("policy").fingerprint
    assert calls == [(NAME, {"revision": COMMIT, "allow_patterns": list(WANTED)})]


@pytest.mark.parametrize("name", ["config.json", "model-00001-of-00006.safetensors", "tokenizer.json"])
def test_data_is_taken(name):
    assert any(fnmatch.fnmatch(name, pattern) for pattern in WANTED)


@pytest.mark.parametrize("name", ["modeling_llada.py", "pytorch_model.bin", "model.pt", "onnx/model.onnx", "x.pkl"])
def test_code_and_pickles_are_not(name):
    assert not any(fnmatch.fnmatch(name, pattern) for pattern in WANTED)


@pytest.mark.parametrize("read", [load, load_masked])
@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:7], COMMIT.upper(), COMMIT + "0"])
def test_an_id_that_may_move_is_refused(calls, read, revision):
    with pytest.raises(InputError, match=f"{NAME} is not a folder, .* got revision={revision!r}: give {NAME}@COMMIT"):
        read(NAME, revision=revision)
    assert not calls


def test_a_revision_is_not_for_folders(calls):
    with pytest.raises(InputError, match=f"revision='{COMMIT}' is for a hub id, and {TINY} is a path"):
        load(TINY, revision=COMMIT)


@pytest.mark.parametrize("source", ["/no/folder", "./no/folder", "../folder", "no-folder", "a/b/c"])
def test_paths_are_never_asked_of_the_hub(calls, source):
    assert local_folder(source) == Path(source)
    with pytest.raises(InputError, match="is not a folder: give the local folder"):
        load(source)
    assert not calls


def test_a_folder_that_looks_like_an_id_is_a_folder(calls, tmp_path, monkeypatch):
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert local_folder("org/name") == Path("org/name")
    assert not calls


def test_offline_the_error_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route to the hub\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InputError) as error:
        load(NAME, revision=COMMIT)
    text = str(error.value)
    assert "\n" not in text
    assert f"{NAME} at {COMMIT} cannot be downloaded (no route to the hub)" in text
    assert f"hf download {NAME} --revision {COMMIT} --local-dir DIR" in text


def test_offline_mode_of_the_hub_itself(tmp_path, monkeypatch):
    download = sys.modules[huggingface_hub.snapshot_download.__module__].snapshot_download

    def offline(name, **options):
        return download(name, cache_dir=tmp_path, local_files_only=True, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(InputError, match=f"{NAME} at {COMMIT} cannot be downloaded") as error:
        load(NAME, revision=COMMIT)
    assert "\n" not in str(error.value)
