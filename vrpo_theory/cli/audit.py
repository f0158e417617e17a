"""``vrpo audit``: any ELBO estimator against exact values."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vrpo_theory.cli._shared import numbers, print_json
from vrpo_theory.console import exit_codes
from vrpo_theory.options import Json, Seed


def audit(
    estimator: Annotated[str, typer.Argument(help="MODULE:FUNCTION, from the current directory or the path")],
    lengths: Annotated[str, typer.Option(help="answer lengths")] = "1,2,5,8",
    n: Annotated[str, typer.Option(help="numbers of masks")] = "1,2,4,8,16",
    alpha: Annotated[float, typer.Option(help="probability of a wrong verdict")] = 1e-6,
    margin: Annotated[float, typer.Option(help="harmless bias, nats a token")] = 0.01,
    span: Annotated[str, typer.Option(help="estimates lie in [-first, second] times the toy's range")] = "2,0",
    toys: Annotated[str, typer.Option(help="toys to run on")] = "copied,rough,long_tailed,trained",
    seed: Seed = 0,
    seconds: Annotated[float, typer.Option(min=0, max=1e6, help="undecided after that time")] = 120,
    full: Annotated[bool, typer.Option("--full", help="go on after a rejection")] = False,
    json: Json = False,
) -> None:
    """Hold any ELBO estimator against exact values: 0 accepted, 3 rejected, 4 undecided."""
    with exit_codes():
        import sys
        from contextlib import redirect_stdout

        from tqdm import tqdm

        from vrpo_theory import auditing

        options: dict[str, Any] = {
            "lengths": numbers(lengths, int, "--lengths"), "n": numbers(n, int, "--n"), "alpha": alpha,
            "margin": margin, "span": numbers(span, float, "--span"), "toys": toys.split(","), "seed": seed,
            "seconds": seconds, "full": full,
        }  # fmt: skip
        with redirect_stdout(sys.stderr), tqdm(desc="cells decided", leave=False, disable=None) as bar:

            def show(decided: int, cells: int) -> None:
                bar.total = cells
                bar.update(decided - bar.n)

            function = auditing.load(estimator)
            found = auditing.audit(function, **options, progress=show)
        origin = {"estimator": estimator, "source": auditing.source_digest(function), "audit": options}
        _print_audit(found, origin, as_json=json)
        found.raise_for_verdict()


def _print_audit(found: Any, origin: dict, *, as_json: bool) -> None:
    from vrpo_theory.reproduce import Context
    from vrpo_theory.reproduce._provenance import provenance

    if as_json:
        print_json(found.document() | {"provenance": provenance(Context(seed=origin["audit"]["seed"]), {}) | origin})
        return
    from rich.console import Console

    console = Console()
    console.print(found.table(), highlight=False)
    for finding in found.findings:
        console.print(f"{finding.name}: {finding.evidence}", highlight=False, markup=False)
    if found.verdict == "accepted":
        console.print(f"accepted: {found.reason}", highlight=False, markup=False)
