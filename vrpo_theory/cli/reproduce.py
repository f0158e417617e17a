"""``vrpo reproduce``: the paper's tables and figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from vrpo_theory.cli.options import HELP, BatchTokens, Beta, Command, Json, Seed, Store, numbers
from vrpo_theory.cli.sources import reads_cases
from vrpo_theory.errors import InputError
from vrpo_theory.runs.console import exit_codes, show
from vrpo_theory.runs.inputs import Sources

Exhibits = Annotated[list[str] | None, typer.Argument(help="names or aliases of exhibits; --list shows them")]


@reads_cases(required=False)
def reproduce(
    sources: Sources,
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
    fresh: Annotated[bool, typer.Option("--fresh", help="recompute even if nothing changed")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="show the paper's rows that need training too")] = False,
    method: Annotated[
        Literal["auto", "exact", "mc"],
        typer.Option(
            help="auto: exact up to 12 tokens; on checkpoints, mc with --pool or --repeats unless --protocol both"
        ),
    ] = "auto",
    batch_tokens: BatchTokens = 2**12,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="save memory: recompute activations for the gradient")
    ] = False,
    gradient: Annotated[
        Literal["auto", "full", "up-proj", "none"],
        typer.Option(help="parameters whose gradient is studied; auto: all on toys, the up-projections on checkpoints"),
    ] = "auto",
    protocol: Annotated[
        Literal["auto", "pooled", "paper", "both"],
        typer.Option(help="how the ablation is sampled; auto: paper on toys, pooled on checkpoints"),
    ] = "auto",
    pool: Annotated[
        str | None, typer.Option(help="timesteps per response and masks per timestep of a pool  [default: 12,4]")
    ] = None,
    repeats: Annotated[int | None, typer.Option(min=3, help="independent repeats per number")] = None,
    store: Store = None,
    from_store: Annotated[
        Path | None, typer.Option(help="folder of an earlier --store: recompute from it, without checkpoints")
    ] = None,
) -> None:
    """Recompute the paper's tables and figures, exactly on toys or on checkpoints and pairs of your own."""
    with exit_codes(resume="the same command; finished exhibits are kept"):
        from vrpo_theory.reproduce import EXHIBITS, Context, runner
        from vrpo_theory.runs import ranks

        if show_list or not exhibits:
            show(
                "\n".join(
                    f"{e.name:12s} {' '.join(e.aliases):8s} {e.title} ({e.paper_ref})" for e in EXHIBITS.members()
                )
            )
            if show_list:
                return
            raise InputError("name one or more exhibits of this list")
        asked = sources.options
        context = Context(
            seed=seed, beta=beta, method=method, limit=sources.limit, batch_tokens=batch_tokens,
            device=asked["device"], dtype=asked["dtype"], gradient=gradient, protocol=protocol,
            pool=_pool(pool or "12,4"), repeats=repeats, progress=ranks.rank() == 0,
        )  # fmt: skip
        budget = (pool or repeats) and protocol != "both"  # a budget alone; "both" holds estimates against exact values
        if method == "auto" and (sources.policy or from_store) and budget:
            context = replace(context, method="mc")
        loaded = {**asked, "device": ranks.own_device(asked["device"])}
        loaded |= {"gradient_checkpointing": True} if checkpointing else {}
        runner.main(
            exhibits,
            context,
            out,
            replace(sources, options=loaded),
            store=store,
            from_store=from_store,
            as_json=json,
            check=check,
            fresh=fresh,
            paper=paper,
        )


def _pool(text: str) -> tuple[int, int]:
    """Timesteps and masks of a pool whose variance components and their errors can be estimated."""
    steps, masks = numbers(text, int, "--pool", count=2, example="12,4")
    if steps < 3 or masks < 2:
        raise InputError(f"--pool {text!r} is too small: take at least 3 timesteps of 2 masks, as in 12,4")
    return steps, masks


app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=HELP)
app.command(cls=Command)(reproduce)
