"""``vrpo report``: one page of all results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vrpo_theory.runs.console import exit_codes, show


def report(
    folder: Annotated[Path, typer.Argument(help="folder of results: --out of other commands")] = Path("results"),
    out: Annotated[Path | None, typer.Option(help="file to write  [default: report.html in the folder]")] = None,
) -> None:
    """Make one HTML page of all results in a folder: verdicts, figures, tables, provenance.

    The page is one file that needs no network: it can be mailed, opened on a phone and printed.
    """
    with exit_codes():
        from vrpo_theory.files import require_writable, write_atomically
        from vrpo_theory.reproduce.page import page

        place = out or folder / "report.html"
        require_writable(place.parent, place.name)
        write_atomically(place, page(folder))
        show(str(place))
