"""The layers hold: nobody imports upwards, and light things stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
LAYERS = (
    {"types", "randomness", "numerics", "rounding", "uncertainty", "instances"}
    | {"documents", "errors", "files", "locks", "registry"},
    {"checkpoints"},
    {"statements", "designs", "weightings", "losses", "couplings", "models", "samplers", "data"},
    {"batching", "packing", "convolution", "elbo", "functionals", "preference", "scheme_text", "schemes"},
    {"exact", "sampling", "store"},
    {"auditing", "generation", "planning", "plotting", "scoring", "sharpness", "tables", "training"},
    {"runs"},
    {"evaluation", "reproduce"},
    {"cli"},
    {"__main__"},
)
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}
MAY_SHARE = {0, 3, 5}
"""Layers whose modules may use each other; families (layer 2) and engines (layer 4) stand alone."""


def room(parts):
    """The top-level file or folder that a module path belongs to."""
    return parts[0].removesuffix(".py")


def imports(tree):
    """Every import in the code, wherever it stands, as dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(path, source):
    here = room(path.parts) if path.name != "__main__.py" else "__main__"  # a command may use everything
    for name in imports(ast.parse(source)):
        if name.startswith("."):
            yield f"{path}: relative import {name}"
        parts = name.split(".")
        if parts[0] != "vrpo_theory" or len(parts) < 2 or parts[1] == here or parts[1].startswith("__"):
            continue
        there = parts[1]
        sideways = LAYER[there] == LAYER[here] and LAYER[here] not in MAY_SHARE
        if LAYER[there] > LAYER[here] or sideways:
            yield f"{path}: {here} (layer {LAYER[here]}) imports {there} (layer {LAYER[there]})"


SOURCES = sorted(p.relative_to(ROOT) for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def test_every_module_has_a_layer():
    assert {room(p.parts) for p in SOURCES} == set(LAYER)


def test_no_module_imports_upwards():
    assert [v for p in SOURCES for v in violations(p, (ROOT / p).read_text())] == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("types/masks.py", "from vrpo_theory.designs.base import Design"),
        ("elbo.py", "def f():\n    import vrpo_theory.exact"),
        ("designs/iid.py", "from vrpo_theory import weightings"),
        ("exact/moments.py", "from vrpo_theory.sampling import scores"),
        ("models/markov.py", "from .base import Model"),
    ],
)
def test_an_upward_import_is_seen(path, line):
    assert list(violations(Path(path), line))


HEAVY = ("torch", "transformers", "scipy.stats", "matplotlib.pyplot")


@pytest.mark.parametrize(
    "statement",
    [
        "import vrpo_theory",
        "from vrpo_theory import DESIGNS, WEIGHTINGS, STATEMENTS, SAMPLERS, EXHIBITS, MODELS\n"
        "from vrpo_theory import Coupling, read_pairs, backward\n"
        "for family in (DESIGNS, WEIGHTINGS, STATEMENTS, SAMPLERS, EXHIBITS): family.members()\n"
        "MODELS.names()",
        "from vrpo_theory.cli._commands import COMMANDS, Commands\n"
        "for name in COMMANDS: Commands().get_command(None, name)",
    ],
)
def test_imports_stay_light(statement):
    code = f"{statement}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_resolve():
    assert all(getattr(vrpo_theory, name) is not None for name in vrpo_theory.__all__)
    with pytest.raises(AttributeError, match="public names"):
        _ = vrpo_theory.nothing
