"""Where a table comes from: code, versions, models, data, seed."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import vrpo_theory
from vrpo_theory.data.template import CLOCK
from vrpo_theory.inputs import Sources
from vrpo_theory.reproduce.base import Cases, Context
from vrpo_theory.types import Case

ROOT = Path(vrpo_theory.__file__).parent
PACKAGES = ("numpy", "scipy", "torch", "transformers", "peft")
"""Libraries that the numbers pass through; peft, which adapters need, may be absent."""


def provenance(context: Context, cases: Cases) -> dict[str, Any]:
    """Everything the numbers depend on, and a digest of it under "inputs"."""
    return sealed(
        made_with()
        | {
            "options": {name: getattr(context, name) for name in OPTIONS},
            "template_clock": CLOCK.isoformat(),
            "models": {label: _models(group) for label, group in cases.items()},
            "pairs": {label: _pairs(group) for label, group in cases.items()},
        }
    )


def made_with() -> dict[str, Any]:
    """Paper, code and versions of packages."""
    return {
        "paper": "arXiv 2505.19223v2",
        "code": code_digest(),
        "versions": _versions() | {"python": platform.python_version()},
    }


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its digest under "inputs", and with what numbers should not depend on."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    return record | {"inputs": digest, "commit": _commit(), "machine": platform.platform()}


OPTIONS = (
    "seed",
    "beta",
    "method",
    "limit",
    "batch_tokens",
    "device",
    "dtype",
    "gradient",
    "protocol",
    "pool",
    "repeats",
    "scale",
)


def record_fields(context: Context, sources: Sources, cases: Sequence[Case]) -> dict[str, Any]:
    """What evaluations depend on beside models, responses and masks: the fields of a sample store."""
    import torch

    files = sorted(Path(str(sources.policy)).glob("tokenizer*.json"))
    tokenizer = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest() if files else None
    return {
        "label": sources.label,
        "code": code_digest(),
        "versions": _versions(),
        "device": context.device,
        "dtype": context.dtype,
        "batch_tokens": context.batch_tokens,
        "threads": torch.get_num_threads(),
        "seed": context.seed,
        "tokenizer": tokenizer,
        "pairs": _pairs(cases),
    }


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES if importlib.util.find_spec(name)}


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
