"""The command ``vrpo`` (layer 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vrpo_theory.console import exit_codes
from vrpo_theory.reproduce.__main__ import reproduce

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command("reproduce")(reproduce)


@app.callback()
def about() -> None:
    """Bias and variance of preference optimisation on masked diffusion language models."""


@app.command()
def score(
    policy: Annotated[Path, typer.Option(help="policy checkpoint, a folder in the LLaDA format")],
    reference: Annotated[Path, typer.Option(help="reference checkpoint")],
    pairs: Annotated[Path, typer.Option(help="preference pairs, JSON Lines")],
    method: Annotated[Literal["auto", "exact", "mc"], typer.Option(help="auto: exact up to 12 tokens")] = "auto",
    n_t: Annotated[int, typer.Option(min=1, help="timesteps")] = 8,
    n_yt: Annotated[int, typer.Option(min=1, help="masks a timestep")] = 1,
    shared: Annotated[bool, typer.Option(help="policy and reference see the same masks")] = True,
    beta: Annotated[float, typer.Option(help="DPO's beta")] = 0.2,
    seed: Annotated[int, typer.Option(help="seed of every draw")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="use the first so many pairs")] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, help="tokens a forward pass, padding included")] = 2**12,
    device: Annotated[str, typer.Option(help="where the checkpoints run")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    json: Annotated[bool, typer.Option("--json", help="one JSON document on standard output")] = False,
) -> None:
    """ELBOs, margin and score of every pair, exact or by Monte Carlo with standard errors."""
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import scoring
        from vrpo_theory.couplings import Coupling
        from vrpo_theory.inputs import read_cases
        from vrpo_theory.reproduce import Context
        from vrpo_theory.reproduce._provenance import provenance
        from vrpo_theory.types import Budget

        cases = read_cases(policy, reference, pairs, limit=limit, device=device, dtype=dtype)
        budget = Budget(n_t, n_yt)
        with tqdm(
            total=scoring.forward_passes(cases, method, budget), desc="forward passes", leave=False, disable=None
        ) as bar:
            documents = scoring.score_pairs(
                cases, method=method, budget=budget, coupling=Coupling(shared), beta=beta, seed=seed,
                batch_tokens=batch_tokens, progress=bar.update,
            )  # fmt: skip
        context = Context(
            seed=seed, beta=beta, method=method, limit=limit, batch_tokens=batch_tokens, device=device, dtype=dtype
        )
        _print(documents, provenance(context, {policy.name: cases}), as_json=json)


def _print(documents: list[dict], origin: dict, *, as_json: bool) -> None:
    import json

    if as_json:
        print(json.dumps({"pairs": documents, "provenance": origin}, allow_nan=False))
        return
    from rich.console import Console
    from rich.table import Table

    columns = ("id", "method", "margin", "score", "stderr", "v_time", "v_mask")
    table = Table(*columns, title="margins in nats; score = beta x margin")
    for document in documents:
        table.add_row(*(_text(document[name]) for name in columns))
    Console().print(table, highlight=False)


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Entry point of the ``vrpo`` script."""
    app(prog_name="vrpo")


if __name__ == "__main__":
    main()
