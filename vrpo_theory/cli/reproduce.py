"""``vrpo reproduce``: the paper's tables and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.cli.bundles import bundled
from vrpo_theory.cli.listing import listed
from vrpo_theory.cli.options import HELP, BatchTokens, Beta, Command, Json, Seed, Store
from vrpo_theory.cli.sources import reads_cases
from vrpo_theory.errors import InputError
from vrpo_theory.reproduce.base import EXHIBITS
from vrpo_theory.reproduce.options import declared
from vrpo_theory.runs.console import exit_codes, show
from vrpo_theory.runs.inputs import Sources

Exhibits = Annotated[list[str] | None, typer.Argument(help="names or aliases of exhibits; --list shows them")]


@reads_cases(required=False)
@bundled("own", declared([e.options for e in EXHIBITS.members()]), dict)
def reproduce(
    sources: Sources,
    own: dict[str, Any],
    exhibits: Exhibits = None,
    show_list: Annotated[bool, typer.Option("--list", help="list the exhibits, then stop")] = False,
    seed: Seed = 0,
    beta: Beta = 0.2,
    json: Json = False,
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("results"),
    check: Annotated[
        bool,
        typer.Option("--check", help="recompute and compare with the results in --out; exit code 3 on a difference"),
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="recompute even if nothing has changed")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="also show the paper's rows that need training")] = False,
    method: Annotated[
        Literal["auto", "exact", "mc"],
        typer.Option(
            help="auto: exact up to 12 tokens; on checkpoints, mc with --pool or --repeats unless --protocol both"
        ),
    ] = "auto",
    batch_tokens: BatchTokens = 2**12,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="recompute activations in the backward pass to save memory")
    ] = False,
    store: Store = None,
    from_store: Annotated[
        Path | None, typer.Option(help="folder of an earlier --store, to recompute from without checkpoints")
    ] = None,
) -> None:
    """Recompute the paper's tables and figures, on toys or on checkpoints and pairs of your own."""
    with exit_codes(resume="the same command; finished exhibits are kept"):
        from vrpo_theory.reproduce import Context, runner
        from vrpo_theory.runs import ranks

        if show_list or not exhibits:
            show(listed("exhibits"))
            if show_list:
                return
            raise InputError("name one or more exhibits of this list")
        asked = sources.options
        device = str(asked["device"])
        context = Context(
            seed=seed, beta=beta, method=method, limit=sources.limit, batch_tokens=batch_tokens,
            device=device, dtype=str(asked["dtype"]), progress=ranks.rank() == 0,
        )  # fmt: skip
        loaded: LoadOptions = {**asked, "device": ranks.own_device(device)}
        if checkpointing:
            loaded["gradient_checkpointing"] = True
        runner.main(
            runner.Order(
                runner.find(exhibits), context, own, replace(sources, options=loaded), out, store, from_store,
                as_json=json, check=check, fresh=fresh, paper=paper,
            )
        )  # fmt: skip


app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP)
app.command(cls=Command)(reproduce)
