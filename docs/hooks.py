"""Pages that are generated: the README, the record, a page per statement, the notebooks, the reference; and formulas.

Formulas become MathML when the site is built, which browsers draw themselves: a page needs no script and no network.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import vrpo_theory
from vrpo_theory import STATEMENTS
from vrpo_theory.statements.base import Statement

ROOT = Path(__file__).parents[1]
COPIED = {
    "index.md": "README.md",
    "record.md": "paper_repro.md",
    "changes.md": "CHANGELOG.md",
    "notebooks/index.md": "notebooks/README.md",
}
"""Pages that are files of the repository, which stay where readers of the repository look for them."""
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$([^$\n]+?)\$(?!\w)", re.DOTALL)
CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")
PAGES = {
    **{source: page for page, source in COPIED.items()},
    **{f"{folder}{path.name}": f"notebooks/{path.stem}.md" for folder in ("", "notebooks/") for path in NOTEBOOKS},
    "notebooks/": "notebooks/index.md",
    "notebooks/README.md": "notebooks/index.md",
}
"""Files of the repository that are pages."""
_formulas: list[str] = []


def on_config(config: Any) -> Any:
    """The order of pages."""
    howto = [f"howto/{path.name}" for path in sorted((ROOT / "docs" / "howto").glob("*.md"))]
    config.nav = [
        {"Start": "index.md"},
        {"How to": howto},
        {"Notebooks": ["notebooks/index.md", *(f"notebooks/{path.stem}.md" for path in NOTEBOOKS)]},
        {"Statements": ["statements/index.md", *(f"statements/{s.name}.md" for s in _statements())]},
        {"Reference": [f"reference/{home}.md" for home in sorted(vrpo_theory._HOMES)]},
        {"Record": "record.md"},
        {"Changes": "changes.md"},
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages and the figures."""
    for name, content in _pages():
        files.append(File.generated(config, name, content=content))
    for path in sorted((ROOT / "figures").glob("*.[ps][nv]g")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Formulas out of Markdown's way, links to files of the repository to their pages."""
    parts = CODE.split(markdown)
    return "".join(part if k % 2 else LINK.sub(_linked, FORMULA.sub(_kept, part)) for k, part in enumerate(parts))


def on_page_content(html: str, **_: Any) -> str:
    """Formulas back."""
    return re.sub(r"formula(\d+)end", lambda found: _formulas[int(found[1])], html)


def _kept(found: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    block, inline = found.groups()
    tex = block or inline
    if found.string[: found.start()].rpartition("\n")[2].startswith("|"):  # in a table a bar is escaped
        tex = tex.replace(r"\|", "|")
    _formulas.append(convert(tex, display="block" if block else "inline"))
    return f"formula{len(_formulas) - 1}end"


def _linked(found: re.Match[str]) -> str:
    """Copied files and notebooks have pages; what else the repository has is named, not linked."""
    target, anchor = found[2].removeprefix("../").removeprefix("./"), found[3] or ""
    if target in PAGES:
        return f"[{found[1]}](/{PAGES[target]}{anchor})"
    inside = (ROOT / target).exists() and not target.startswith(("figures/", "howto/"))
    return found[1] if inside else found[0]


def _pages() -> Iterator[tuple[str, str]]:
    for name, source in COPIED.items():
        yield name, (ROOT / source).read_text(encoding="utf-8")
    yield "statements/index.md", _statement_list()
    for statement in _statements():
        yield f"statements/{statement.name}.md", _statement(statement)
    for path in NOTEBOOKS:
        yield f"notebooks/{path.stem}.md", _notebook(path)
    for home, names in vrpo_theory._HOMES.items():
        yield f"reference/{home}.md", f"# {home}\n\n" + "\n\n".join(f"::: {home}.{name}" for name in names)


def _statements() -> list[Statement]:
    return sorted(STATEMENTS.members(), key=lambda s: (s.ref.startswith("ours"), s.ref, s.name))


def _statement_list() -> str:
    rows = [f"| [`{s.name}`](/statements/{s.name}.md) | {s.ref} | {s.verdict} |" for s in _statements()]
    return "\n".join(["# Statements", "", "| name | source | verdict |", "| --- | --- | --- |", *rows])


def _statement(s: Statement) -> str:
    """Formula, what became of it, proof, sharp form, and what the search for counterexamples found."""
    assumptions = f"Assumes: {'; '.join(s.assumptions)}." if s.assumptions else ""
    sharp = f"Sharp form: [`{s.sharp}`](/statements/{s.sharp}.md)." if s.sharp else ""
    proof = inspect.getdoc(s.sides) or ""
    home = f"Both sides are computed in `{s.sides.__module__}`, by different code."
    parts = [
        f"# {s.name}",
        f"{s.ref}. **{s.verdict}.**",
        f"$${s.tex}$$",
        assumptions,
        sharp,
        "## Proof",
        proof,
        "## Tried",
        _tried(s),
        home,
    ]
    return "\n\n".join(filter(None, parts))


def _tried(s: Statement) -> str:
    """The exhibit's cells of a statement."""
    cells = json.loads((ROOT / "figures" / "bounds.json").read_text())["cells"]
    rows = [
        f"| {c['column']['quantity']} | {c['value']:.4g} |"
        for c in cells
        if c["row"] == s.name and c["value"] is not None
    ]
    return (
        "\n".join(["| of adversarial and random laws | |", "| --- | --- |", *rows])
        if rows
        else "Tried as the sharp form of another."
    )


def _notebook(path: Path) -> str:
    """Text, code and printed output; pictures are in figures/."""
    from nbconvert import MarkdownExporter

    text: str = MarkdownExporter().from_filename(str(path))[0]
    return text
