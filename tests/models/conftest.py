"""Golden checkpoints, made by code that this project did not write."""

import json
import shutil
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FAMILIES = {
    "dream": {},
    "illada": {"mask_token_id": 5},
    "lladamoe": {"mask_token_id": 156},
    "a2d_qwen3_mdlm": {"mask_token_id": 157},
    "sdar": {},
    "llada2": {"mask_token_id": 157, "block_length": 4},
    "a2d_qwen3_bd3lm": {"mask_token_id": 157, "block_length": 4},
}
"""Every golden checkpoint, and what its files do not say."""
FULL = ("dream", "illada", "lladamoe", "a2d_qwen3_mdlm")
"""Those of which all tokens see each other; the others have blocks."""


def copied(name, folder, role="policy"):
    """A folder with a golden checkpoint's configuration and one of its two models."""
    folder.mkdir()
    shutil.copy(GOLDEN / name / "config.json", folder)
    weights = {"policy": "model", "reference": "model_reference"}[role]
    shutil.copy(GOLDEN / name / f"{weights}.safetensors", folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def golden(tmp_path_factory):
    """Folders of a golden pair: golden("dream")["policy"]."""
    made = {}

    def folders(name):
        if name not in made:
            place = tmp_path_factory.mktemp(name)
            made[name] = {role: copied(name, place / role, role) for role in ("policy", "reference")}
        return made[name]

    return folders


@pytest.fixture(scope="session")
def models(golden):
    """Loads a golden pair, once: models("dream")["policy"], in float64 with dtype="float64"."""
    from vrpo_theory import load_model

    made = {}

    def loaded(name, **options):
        key = (name, *options.items())
        if key not in made:
            made[key] = {role: load_model(f, **FAMILIES[name], **options) for role, f in golden(name).items()}
        return made[key]

    return loaded


def told(name):
    """What the official code said of a golden checkpoint's ELBOs."""
    return json.loads((GOLDEN / name / "elbo.json").read_text())
