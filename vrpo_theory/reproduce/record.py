"""The generated tables of ``paper_repro.md`` and ``README.md``: members, from the registries, and stored results.

``python -m vrpo_theory.reproduce.record`` rewrites them in the working folder; nothing else in the files is touched.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.family import Family
from vrpo_theory.designs import DESIGNS
from vrpo_theory.losses import LOSSES
from vrpo_theory.models import MODELS
from vrpo_theory.reproduce import readme
from vrpo_theory.reproduce.base import EXHIBITS
from vrpo_theory.reproduce.trained.findings import findings
from vrpo_theory.samplers import SAMPLERS
from vrpo_theory.statements import STATEMENTS
from vrpo_theory.types import Estimate
from vrpo_theory.uncertainty import plus_minus
from vrpo_theory.weightings import WEIGHTINGS

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

RECORD = "paper_repro.md"
FILES = (RECORD, "README.md")
REFRESH = "python -m vrpo_theory.reproduce.record"
_MARKED = re.compile(r"(<!-- table of (\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)


def exhibits(root: Path) -> list[Sequence[str]]:
    """Name, what it reproduces, where it lives, what checks it, which notebook shows it."""
    rows: list[Sequence[str]] = [("exhibit", "of the paper", "file", "checked by", "notebook")]
    for e in EXHIBITS.members():
        aliases = "".join(f" (`{alias}`)" for alias in e.aliases)
        own = f"tests/exhibits/test_{e.name}.py"
        checks = own if (root / own).exists() else "tests/contracts/test_exhibits.py"
        rows.append((f"`{e.name}`{aliases}", e.paper_ref, _home(e.compute), f"`{checks}`", _shown(root, e.name)))
    return rows


def statements(root: Path) -> list[Sequence[str]]:
    """Name, source, formula, what became of it, its sharp form, where it lives."""
    rows: list[Sequence[str]] = [("name", "source", "statement", "verdict", "sharp form", "home")]
    members = sorted(STATEMENTS.members(), key=lambda s: (s.ref.startswith("ours"), s.ref, s.name))
    for s in members:
        sharp = f"`{s.sharp}`" if s.sharp else ""
        rows.append((f"`{s.name}`", s.ref, f"${s.tex}$", s.verdict, sharp, _home(s.sides)))
    return rows


def designs(root: Path) -> list[Sequence[str]]:
    """Name, what it is, where it lives."""
    return [("design", "what it is", "home"), *((f"`{d.name}`", _summary(d), _home(d)) for d in DESIGNS.members())]


def weightings(root: Path) -> list[Sequence[str]]:
    """Name, what it is, where it lives."""
    return _homes("weighting", WEIGHTINGS.members())


def losses(root: Path) -> list[Sequence[str]]:
    """Name, what it is, where it lives."""
    return _homes("loss", LOSSES.members())


def samplers(root: Path) -> list[Sequence[str]]:
    """Name, what it is, where it lives."""
    return _homes("sampler", SAMPLERS.members())


def models(root: Path) -> list[Sequence[str]]:
    """Name, what it is."""
    return [("model", "what it is"), *((f"`{name}`", MODELS.summary(name)) for name in MODELS.names())]


def families(root: Path) -> list[Sequence[str]]:
    """What reads checkpoints: how it knows them, what decides the meaning of logits, the evidence for its numbers."""
    rows: list[Sequence[str]] = [
        ("family", "releases", "by", "shift", "attention", "mask", "checked against", "not checked")
    ]
    for module in MODELS.having("FAMILY"):
        f = module.FAMILY
        named = ", ".join(f"`{name}`" for name in (*f.architectures, *([f.model_type] if f.by_type else [])))
        mask = "by its files" if f.usual_mask is None else str(f.usual_mask)
        name = f"`{module.__name__.rpartition('.')[2]}`"
        rows.append((name, f.title, named or "any other", str(f.shift), _attention(f), mask, f.checked, f.unchecked))
    return rows


def _attention(family: Family[Wrapped]) -> str:
    return {"full": "full", "blocks": f"blocks of {family.usual_block}"}.get(
        family.attention, f"full, or blocks of {family.usual_block}"
    )


def coverage(root: Path) -> list[Sequence[str]]:
    """How often the planner's intervals held the truth, and how far its predictions were off."""
    sections = json.loads((root / "benchmarks" / "results" / "planner.json").read_text())["sections"]
    return [
        ("predicted", "pilot", "pilots", "intervals that held", "prediction over truth"),
        *((f"`{row['of']}`", str(row["pilot"]), str(row["pilots"]),
           plus_minus(Estimate(row["measured"], row["its stderr"])),
           plus_minus(Estimate(row["prediction over truth"], row["stderr"])))
          for row in sections["coverage"]),
    ]  # fmt: skip


TABLES: dict[str, Callable[[Path], list[Sequence[str]] | str]] = {
    "exhibits": exhibits, "statements": statements, "designs": designs, "weightings": weightings, "losses": losses,
    "samplers": samplers, "models": models, "families": families, "coverage": coverage, "budget": readme.budget,
    "ablation": readme.ablation, "findings": findings,
}  # fmt: skip


def refreshed(text: str, root: Path) -> str:
    """The text with every marked table written anew.

    Raises
    ------
    KeyError
        If a marker names no table.
    """
    return _MARKED.sub(lambda found: found[1] + _markdown(TABLES[found[2]](root)), text)


def _markdown(rows: list[Sequence[str]] | str) -> str:
    if isinstance(rows, str):
        return rows
    head, *body = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _homes(kind: str, members: Iterable[Any]) -> list[Sequence[str]]:
    return [(kind, "what it is", "home"), *((f"`{m.name}`", _summary(m), _home(m)) for m in members)]


def _home(member: Callable[..., object]) -> str:
    """The member's file, below the package."""
    path = member.__module__.removeprefix("vrpo_theory.").replace(".", "/")
    return f"`{path}/__init__.py`" if hasattr(sys.modules[member.__module__], "__path__") else f"`{path}.py`"


def _summary(member: object) -> str:
    return (inspect.getdoc(member) or "").partition("\n")[0]


def _shown(root: Path, exhibit: str) -> str:
    """Numbers of the notebooks that call an exhibit by name."""
    found = [
        path.name[:2]
        for path in sorted((root / "notebooks").glob("*.ipynb"))
        if any(f'EXHIBITS["{exhibit}"]' in "".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
    ]
    return ", ".join(found) or "-"


def main() -> None:
    """Rewrite the files in the working folder."""
    for path in map(Path, FILES):
        path.write_text(refreshed(path.read_text(encoding="utf-8"), Path()), encoding="utf-8")


if __name__ == "__main__":
    main()
