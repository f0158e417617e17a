"""A fingerprint is computed once a checkpoint, and a kept one is never served for other weights."""

import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vrpo_theory
from vrpo_theory import load_model
from vrpo_theory.checkpoints import identity, wrapped
from vrpo_theory.runs import fingerprints, provenance

TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny"
UNSEEN = 4097
"""An entry of the embeddings that no sample looks at."""


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(TINY / "policy", tmp_path / "policy"))


@pytest.fixture(autouse=True)
def later(monkeypatch, tmp_path):
    """An hour after the files were written, with a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    now = time.time
    monkeypatch.setattr(fingerprints.time, "time", lambda: now() + 3600)


@pytest.fixture
def hashed(monkeypatch):
    """How often all values were hashed."""
    calls = []

    def digest(*arguments, sampled=False):
        calls.extend([] if sampled else ["whole"])
        return identity.digest(*arguments, sampled=sampled)

    monkeypatch.setattr(wrapped, "digest", digest)
    return calls


def fingerprint(folder, **options):
    return fingerprints.load(folder, **options).fingerprint


def edited(folder, source=None):
    """Change one value that no sample sees, in place: same size, inode and time of writing."""
    file, before = folder / "model.safetensors", (folder / "model.safetensors").stat()
    tensors = load_file(source or file)
    name = next(name for name in tensors if name.endswith("wte.weight"))
    assert UNSEEN % max(1, tensors[name].numel() // identity.SAMPLE)
    tensors[name].view(-1)[UNSEEN] += 1
    save_file(tensors, folder / "other", metadata={"format": "pt"})
    with file.open("r+b") as stream:
        stream.write((folder / "other").read_bytes())
    (folder / "other").unlink()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)


def replaced(folder):
    """Another file under the name, with the same size and time of writing."""
    shutil.copytree(folder, folder.parent / "new")
    edited(folder.parent / "new")
    shutil.copystat(folder / "model.safetensors", folder.parent / "new" / "model.safetensors")
    os.replace(folder.parent / "new" / "model.safetensors", folder / "model.safetensors")


def copied_over(folder):
    """The other file's bytes and times, written over this one."""
    shutil.copytree(folder, folder.parent / "new")
    edited(folder.parent / "new")
    shutil.copy2(folder.parent / "new" / "model.safetensors", folder / "model.safetensors")


def test_all_values_are_hashed_once(folder, hashed):
    first = fingerprint(folder)
    assert len(hashed) == 1
    assert fingerprint(folder) == first == fingerprint(folder.rename(folder.with_name("renamed")))
    assert len(hashed) == 1
    assert load_model(folder.with_name("renamed")).fingerprint == first


@pytest.mark.parametrize("change", [edited, replaced, copied_over])
def test_changed_files_are_hashed_anew(folder, change):
    first = fingerprint(folder)
    change(folder)
    assert fingerprint(folder) == load_model(folder).fingerprint != first


def test_a_copy_is_a_file_of_its_own(folder, hashed):
    first = fingerprint(folder)
    copy = shutil.copytree(folder, folder.with_name("copy"))
    assert fingerprint(copy) == first
    assert len(hashed) == 2
    edited(copy)
    assert fingerprint(copy) != first == fingerprint(folder)


@pytest.mark.parametrize("hours", [0, -24], ids=["just written", "in the clock's future"])
def test_files_of_late_are_not_kept(folder, hashed, monkeypatch, hours):
    now = (folder / "model.safetensors").stat().st_ctime + 1 + 3600 * hours
    monkeypatch.setattr(fingerprints.time, "time", lambda: now)
    first = fingerprint(folder)
    edited(folder)
    assert fingerprint(folder) != first
    assert len(hashed) == 2
    assert not fingerprints.cache_folder().exists()


@pytest.mark.parametrize("start", ["first", "second"])
def test_a_file_that_changes_while_it_is_read(folder, monkeypatch, start):
    """Neither kept under the state before, nor taken from it."""
    old = fingerprint(folder) if start == "second" else load_model(folder).fingerprint
    whole = vrpo_theory.models.load_model

    def slow(source, **options):
        model = whole(source, **options)
        edited(folder)
        return model

    monkeypatch.setattr(vrpo_theory.models, "load_model", slow)
    fingerprints.load(folder)
    monkeypatch.setattr(vrpo_theory.models, "load_model", whole)
    assert fingerprint(folder) == load_model(folder).fingerprint != old


def test_what_else_a_fingerprint_follows_from(folder, hashed, monkeypatch):
    """Options, configuration, code and libraries are other places."""
    found = {
        fingerprint(folder),
        fingerprint(folder, dtype="float64"),
        fingerprint(folder, attn_implementation="eager"),
    }
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-05', '"rms_norm_eps": 2e-05'))
    assert len(found | {fingerprint(folder)}) == len(hashed) == 4
    monkeypatch.setattr(provenance, "code_digest", lambda: "other code")
    fingerprint(folder)
    assert len(hashed) == 5


def test_a_model_that_changes_after_it_was_loaded(folder):
    fingerprint(folder)
    model = fingerprints.load(folder)
    first = model.fingerprint
    with torch.no_grad():
        model.module.get_input_embeddings().weight.view(-1)[UNSEEN] += 1
    assert model.fingerprint != first


@pytest.mark.parametrize("content", [b"", b"0123", b"\xff" * 64, b"g" * 64])
def test_a_damaged_entry_is_computed_again(folder, content):
    first = fingerprint(folder)
    (entry,) = fingerprints.cache_folder().iterdir()
    entry.write_bytes(content)
    assert fingerprint(folder) == first
    assert entry.read_text() == first


@pytest.mark.parametrize("home", ["file", "relative"])
def test_without_a_place_nothing_is_kept(folder, tmp_path, monkeypatch, home):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", {"file": str(tmp_path / "file"), "relative": "cache"}[home])
    monkeypatch.chdir(tmp_path)
    assert fingerprint(folder) == load_model(folder).fingerprint
    assert not (tmp_path / "cache").exists()
