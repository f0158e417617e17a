"""Where a table comes from: code, versions, models, data, seed."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import vrpo_theory
from vrpo_theory.data.template import CLOCK
from vrpo_theory.documents import Document, Fields
from vrpo_theory.runs.inputs import Sources
from vrpo_theory.types import Case, Model

ROOT = Path(vrpo_theory.__file__).parent
FAMILY = "vrpo_theory.models."
PACKAGES = ("numpy", "scipy", "torch", "transformers", "peft")
"""Libraries that the numbers pass through; peft, which adapters need, may be absent."""


def provenance(options: Fields, cases: Mapping[str, Sequence[Case]]) -> Document:
    """Everything the numbers depend on, and a digest of it under "inputs"; `signed` adds that of the numbers.

    Parameters
    ----------
    options : mapping
        All that a run could be told, in types that JSON has, or paths.
    cases : mapping of str to sequence of Case
        By the name of their models.
    """
    return sealed(
        made_with()
        | {
            "options": {name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
            "template_clock": CLOCK.isoformat(),
            "models": {label: _models(group) for label, group in cases.items()},
            "pairs": {label: _pairs(group) for label, group in cases.items()},
        }
    )


def made_with() -> Document:
    """Paper, code and versions of packages."""
    return {
        "paper": "arXiv 2505.19223v2",
        "code": code_digest(),
        "versions": _versions() | {"python": platform.python_version()},
    }


def sealed(record: Document) -> Document:
    """The record with its digest under "inputs", and with what numbers should not depend on."""
    return record | {"inputs": _digest(record), "commit": _commit(), "machine": platform.platform()}


def signed(document: Document) -> Document:
    """A document of cells and provenance, with a digest of its cells in the latter."""
    return document | {"provenance": document["provenance"] | {"cells": _digest(document["cells"])}}


def unaltered(document: Fields) -> bool:
    """Whether the cells of a document are those that it was signed with; False without a digest."""
    return bool(document["provenance"].get("cells") == _digest(document["cells"]))


def record_fields(options: Fields, sources: Sources, cases: Sequence[Case]) -> Document:
    """What a sample store writes down of a run; the first four must be equal in all runs of a store.

    Evaluations are kept under model, response and mask, so that seeds, designs, pairs, tokenizers and folders cannot
    confuse them. What else could move one unnoticed is refused: other code of the models and of the evaluation
    (comments, docstrings and layout aside), another torch or transformers (or peft, under an adapter), another kind of
    device, another dtype. Batches and threads move only the last bits: they are written down.
    """
    import torch

    policy = cast(Model, cases[0].policy)
    return {
        "code": evaluating_code([m for case in cases for m in (case.policy, case.reference)]),
        "versions": _versions(["torch", "transformers", *(["peft"] if sources.adapter is not None else [])]),
        "device": torch.device(policy.device).type,
        "dtype": str(policy.dtype).removeprefix("torch."),
        "label": sources.label,
        "batch_tokens": options["batch_tokens"],
        "threads": torch.get_num_threads(),
        "seed": options["seed"],
    }


def _versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    return {name: metadata.version(name) for name in names if importlib.util.find_spec(name)}


def evaluating_code(models: Sequence[Any]) -> str:
    """Hash of the code that an evaluation runs through, as it is parsed: what is common, and each model's own."""
    found = {p.relative_to(ROOT).as_posix(): _shape(ast.parse(p.read_text())) for p in evaluating_files(models)}
    return _digest(found)


def evaluating_files(models: Sequence[Any]) -> set[Path]:
    """The files of that code."""
    parts = [part for model in models for part in getattr(model, "modules", lambda model=model: [model])()]
    classes = {kind.__module__ for part in parts for kind in type(part).__mro__}
    homes = {name.split(".")[2] for name in classes if name.startswith(FAMILY)}
    own = [
        p
        for p in (ROOT / "models").rglob("*.py")
        if p.relative_to(ROOT / "models").parts[0].removesuffix(".py") in homes
    ]
    common = [ROOT / name for name in ("elbo.py", "batching.py", "packing.py", "models/base.py")]
    return {*common, *(ROOT / "checkpoints").rglob("*.py"), *own}


def _shape(node: Any) -> Any:
    """A syntax tree as lists, the same in every Python version, without docstrings and empty fields."""
    if isinstance(node, list):
        return [_shape(part) for part in node if not _is_docstring(part)]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return [type(node).__name__, *([name, _shape(value)] for name, value in parts)]


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_digest() -> str:
    """Hash of the package's sources and data: what the numbers were made with, committed or not."""
    digest = hashlib.sha256()
    for path in sorted(p for p in ROOT.rglob("*") if p.suffix in {".py", ".json"}):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _models(group: Any) -> list[dict[str, str]]:
    kinds = {id(c.policy): c for c in group}.values()
    return [{"policy": c.policy.fingerprint, "reference": c.reference.fingerprint} for c in kinds]


def _pairs(group: Any) -> str:
    keys = b"".join(c.pair.chosen.key + c.pair.rejected.key for c in group)
    return hashlib.sha256(keys).hexdigest()


def _commit() -> str | None:
    """Commit of a source checkout, marked when files differ from it; None for an installed package."""
    if not (ROOT.parent / ".git").exists():
        return None
    run = subprocess.run(
        ["git", "-C", str(ROOT.parent), "describe", "--always", "--dirty", "--abbrev=40"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return run.stdout.strip() or None
