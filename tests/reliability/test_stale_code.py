"""A record knows the code that made it: every file that an evaluation runs through is part of its key.

As in https://github.com/EleutherAI/lm-evaluation-harness/issues/4063, where a cache outlived its code.
"""

import inspect
from pathlib import Path

import pytest

import vrpo_theory
from vrpo_theory import load_model
from vrpo_theory.runs.provenance import evaluating_files

DATA = Path(__file__).parents[1] / "data"
FOLDERS = {
    "cases/base/policy": {},
    "cases/bert/policy": {},
    "golden/dream": {},
    "golden/llada2": {"mask_token_id": 157, "block_length": 4},
    "golden/lladamoe": {"mask_token_id": 156},
    "golden/sdar": {},
}
ROOT = Path(vrpo_theory.__file__).parent


def classes(model):
    """Of the model and all its parts, with what they inherit."""
    return {
        kind for part in model.modules() for kind in type(part).__mro__ if kind.__module__.startswith("vrpo_theory")
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_class_of_a_model_is_part_of_the_key(folder):
    model = load_model(DATA / folder, **FOLDERS[folder])
    files = {Path(inspect.getfile(kind)) for kind in classes(model)}
    assert files - evaluating_files([model]) == set()


def test_so_is_what_masks_pass_through():
    assert {ROOT / f"{name}.py" for name in ("elbo", "batching", "packing")} <= evaluating_files([])
