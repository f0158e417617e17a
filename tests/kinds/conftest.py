"""Two checkpoints with tokenizers, tokenizers with other chat templates, and files of rows."""

import json
import shutil
from pathlib import Path

import pytest

from vrpo_theory.data import load_tokenizer

CASES = Path(__file__).parents[1] / "data" / "cases"


@pytest.fixture(scope="session")
def reproduce(vrpo):
    """Runs the exhibit that takes a second: reproduce(folder)."""
    return lambda out, *options: vrpo("reproduce", "consistency", "--out", out, *options)


@pytest.fixture
def tokenizer(tmp_path):
    """Makes the tokenizer of a checkpoint with another chat template."""

    def make(template=None, kind="base", **config):
        folder = Path(shutil.copytree(CASES / kind / "policy", tmp_path / "words", dirs_exist_ok=True))
        path = folder / "tokenizer_config.json"
        given = {"chat_template": template} if template is not None else {}
        path.write_text(json.dumps(json.loads(path.read_text()) | given | config))
        return load_tokenizer(folder)

    return make


@pytest.fixture
def write(tmp_path):
    """Write rows, one per line; the file's path."""

    def write(*rows):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def checkpoint(tmp_path):
    """Makes a copy of a packaged checkpoint: checkpoint("base") is LLaDA's, checkpoint("bert") a BERT."""

    def copied(kind, name="copy"):
        return Path(shutil.copytree(CASES / kind / "policy", tmp_path / name))

    return copied


@pytest.fixture
def edit():
    """Changes keys of a JSON file, or removes those given as ``...``; the file is made where there is none."""

    def edited(path, **changes):
        value = (json.loads(path.read_text()) if path.exists() else {}) | changes
        path.write_text(json.dumps({key: item for key, item in value.items() if item is not ...}))

    return edited
