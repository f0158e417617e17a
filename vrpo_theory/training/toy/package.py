"""Making the toy's files: both stages, the held-out pairs and the card."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch
from transformers.utils import logging

import vrpo_theory
from vrpo_theory import exact
from vrpo_theory.data import toy
from vrpo_theory.documents import Document
from vrpo_theory.files import write_atomically
from vrpo_theory.models.llada import LLaDA, load
from vrpo_theory.preference import BETA
from vrpo_theory.training.loop import Objective, Schedule, train
from vrpo_theory.training.toy.measure import accuracies, likelihoods, variances
from vrpo_theory.training.toy.recipe import Recipe
from vrpo_theory.types import ROLES, Case, PreferencePair

PACKAGED = Path(vrpo_theory.__file__).parent / "models" / "toy_llada"
WEIGHTS = "model.safetensors"
PAIRS, PROMPTS, FIRST, SHORTEST = 32, 400, 3, toy.LENGTHS[0]
"""Packaged pairs per length; test prompts per task; losses that the card keeps; length of the exact measurements."""
VERSIONS = ("numpy", "safetensors", "torch", "transformers")
SOURCES = (
    "batching.py", "checkpoints/wrapped.py", "couplings.py", "data/toy/*.py", "designs/base.py", "designs/iid.py",
    "elbo.py", "functionals.py", "models/llada/configuration.py", "models/llada/modeling.py",
    "models/llada/predictor.py", "numerics.py", "preference.py", "randomness.py", "schemes.py", "training/*.py",
    "training/toy/recipe.py", "types/*.py", "weightings/base.py", "weightings/plain.py",
)  # fmt: skip
"""Files that the weights depend on."""


def make(folder: Path, recipe: Recipe) -> Document:
    """Train both models, write them, the pairs and the card into a folder; return the card.

    The stages leave checkpoints in the folder and go on from them; they are removed at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reference, code, seconds = recipe.start(), sources(), {}
    first, seconds["supervised"] = _stage(folder, recipe, "supervised", reference, recipe.supervise())
    reference.requires_grad_(False)
    policy = copy.deepcopy(reference).requires_grad_(True)
    second, seconds["preference"] = _stage(folder, recipe, "preference", policy, recipe.prefer(reference))
    for role, model in zip(ROLES, (policy, reference), strict=True):
        save(model, folder / role)
    write_atomically(folder / "pairs.json", _lines(packaged_pairs(recipe.seed)))
    card = describe(folder, recipe) | {
        "sources": code,
        "losses": {"supervised": first[:FIRST], "preference": second[:FIRST]},
        "seconds": seconds,
    }
    write_atomically(folder / "card.json", json.dumps(card, indent=1) + "\n")
    for stage in seconds:
        _checkpoint(folder, stage).unlink()
    return card


def save(model: LLaDA, folder: Path) -> None:
    """Write config.json and the weights, each file whole or not at all."""
    with tempfile.TemporaryDirectory() as temporary:
        with _without_bars():
            model.module.save_pretrained(temporary)
        for file in Path(temporary).iterdir():
            write_atomically(folder / file.name, file.read_bytes())


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers shows a bar for every file it writes."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def packaged_pairs(seed: int) -> dict[int, list[PreferencePair]]:
    """Held-out pairs by response length."""
    return {n: [toy.question(seed, "test", i, length=n).pair() for i in range(PAIRS)] for n in toy.LENGTHS}


def describe(folder: Path, recipe: Recipe) -> Document:
    """The card of the models in a folder, but for how training went."""
    models = {role: load(folder / role) for role in ROLES}
    cases = [Case(models["policy"], models["reference"], pair) for pair in packaged_pairs(recipe.seed)[SHORTEST]]
    tabulated = exact.tabulate(cases)
    return {
        "what": "LLaDA trained on the toy language; reference: supervised, with mistakes; policy: VRPO after it",
        "options": recipe.options(),
        "selection": "rate and steps of VRPO: see tuning.json, on the validation split; the rest was set beforehand",
        "parameters": sum(p.numel() for p in models["policy"].parameters()),
        "weights": {role: hashlib.sha256((folder / role / WEIGHTS).read_bytes()).hexdigest() for role in ROLES},
        "versions": {name: metadata.version(name) for name in VERSIONS} | {"python": platform.python_version()},
        "machine": {"cpu": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()},
        "accuracy": {role: accuracies(models[role], recipe.seed, "test", PROMPTS) for role in ROLES},
        "prompts a task": PROMPTS,
        "pairs": {"length": SHORTEST, "number": len(cases)},
        **likelihoods(tabulated),
        "variance": variances(tabulated, BETA),
    }


def sources() -> dict[str, str]:
    """Hash of every file that the weights depend on."""
    root = PACKAGED.parents[1]
    files = sorted({path for pattern in SOURCES for path in root.glob(pattern)})
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files}


def _stage(folder: Path, recipe: Recipe, name: str, model: LLaDA, objective: Objective) -> tuple[list[float], float]:
    """Losses and wall seconds of one stage."""
    schedule: Schedule = getattr(recipe, name)
    start = time.perf_counter()
    origin = json.dumps(recipe.options(), sort_keys=True) + name
    losses = train(model, objective, schedule, path=_checkpoint(folder, name), origin=origin, label=name)
    return losses, round(time.perf_counter() - start, 1)


def _checkpoint(folder: Path, stage: str) -> Path:
    return folder / f"{stage}.checkpoint.safetensors"


def _lines(pairs: dict[int, list[PreferencePair]]) -> str:
    """JSON with one pair a line."""
    groups = []
    for length, group in pairs.items():
        rows = [
            json.dumps({"prompt": p.chosen.prompt, "chosen": p.chosen.ids, "rejected": p.rejected.ids}) for p in group
        ]
        groups.append(f'"{length}": [\n' + ",\n".join(rows) + "\n]")
    return "{\n" + ",\n".join(groups) + "\n}\n"
