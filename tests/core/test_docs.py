"""The how-to pages: recipes of at most 15 lines that run from an empty folder, options that exist; the site."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
RECIPE = re.compile(r"```python.*?\n(.*?)```", re.S)
MOST_LINES = 15


def recipes(path):
    return RECIPE.findall(path.read_text())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_recipes_run_from_an_empty_folder(path, tmp_path):
    """In a process of their own: one of them adds a design."""
    assert recipes(path)
    assert all(len(recipe.splitlines()) <= MOST_LINES for recipe in recipes(path))
    code = "\n".join(recipes(path))
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_options_of_commands_exist(vrpo, path):
    for command, rest in re.findall(r"^vrpo (\w+) (.*)$", path.read_text(), re.M):
        known = set(re.findall(r"--[a-z-]+", vrpo(command, "--help").stdout))
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, command


def test_the_estimator_to_audit_is_accepted(vrpo, tmp_path, monkeypatch):
    page = (ROOT / "docs" / "howto" / "audit_a_trainer.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_trainer", raising=False)
    (tmp_path / "my_trainer.py").write_text(RECIPE.search(page)[1])
    (words,) = re.findall(r"^vrpo (audit .*)$", page, re.M)
    assert vrpo(*words.split()).exit_code == 0
    assert (tmp_path / "results" / "audit.csv").exists()


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_site_needs_no_network(tmp_path):
    """Warnings are errors (strict), every statement has its page with a formula, and nothing is fetched."""
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(tmp_path)], cwd=ROOT, check=True)
    from vrpo_theory import STATEMENTS

    for name in STATEMENTS.names():
        assert "<math" in (tmp_path / "statements" / f"{name}.html").read_text()
    for page in tmp_path.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", page.read_text())
        assert not [tag for tag in loaded if re.search(r"(?:src|href)=.?(?:https?:)?//", tag)], page
