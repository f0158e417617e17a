"""A name means one thing: no two classes share one, and no package exports a function under a module's name."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
PACKAGES = sorted({p.parent.relative_to(ROOT).as_posix() for p in ROOT.rglob("__init__.py")} - {".", "cli"})
"""The root gives names when asked; of the command line nothing but commands is imported."""


def classes(path):
    return [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]


def shadowed(package):
    """Modules of a package whose names its ``__init__`` gives to something else."""
    modules = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    here = ".".join(package.relative_to(ROOT.parent).parts)
    for node in ast.parse((package / "__init__.py").read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module != here:
            yield from (name for alias in node.names if (name := alias.asname or alias.name) in modules)


def test_a_class_has_its_name_alone():
    found = Counter(name for path in ROOT.rglob("*.py") for name in classes(path) if not name.startswith("_"))
    assert [name for name, times in found.items() if times > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_shadows_its_module(package):
    assert list(shadowed(ROOT / package)) == []
