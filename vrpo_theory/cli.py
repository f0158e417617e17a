"""The command ``vrpo`` (layer 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vrpo_theory.console import exit_codes
from vrpo_theory.errors import InputError
from vrpo_theory.reproduce.__main__ import reproduce

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command("reproduce")(reproduce)


@app.callback()
def about() -> None:
    """Bias and variance of preference optimisation on masked diffusion language models."""


POLICY = typer.Option(help="policy: a checkpoint's folder, or hub id org/name@COMMIT")
REFERENCE = typer.Option(help="reference: as --policy")
PAIRS = typer.Option(help="preference pairs, JSON Lines")


@app.command()
def score(
    policy: Annotated[str, POLICY],
    reference: Annotated[str, REFERENCE],
    pairs: Annotated[Path, PAIRS],
    method: Annotated[Literal["auto", "exact", "mc"], typer.Option(help="auto: exact up to 12 tokens")] = "auto",
    n_t: Annotated[int, typer.Option(min=1, help="timesteps")] = 8,
    n_yt: Annotated[int, typer.Option(min=1, help="masks a timestep")] = 1,
    shared: Annotated[bool, typer.Option(help="policy and reference see the same masks")] = True,
    design: Annotated[str, typer.Option(help="as `vrpo plan` writes it")] = "iid_count",
    weighting: Annotated[str, typer.Option(help="as `vrpo plan` writes it")] = "plain",
    groups: Annotated[int, typer.Option(min=1, help="independent estimates that are averaged")] = 1,
    beta: Annotated[float, typer.Option(help="DPO's beta")] = 0.2,
    seed: Annotated[int, typer.Option(help="seed of every draw")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="use the first so many pairs")] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="cut rows that are too long")] = False,
    adapter: Annotated[Path | None, typer.Option(help="LoRA adapter of the policy")] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, help="tokens a forward pass, padding included")] = 2**12,
    device: Annotated[str, typer.Option(help="where the checkpoints run")] = "cpu",
    device_map: Annotated[str | None, typer.Option(help="as accelerate takes it: auto")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    store: Annotated[Path | None, typer.Option(help="keep every evaluation here, and resume from it")] = None,
    json: Annotated[bool, typer.Option("--json", help="one JSON document on standard output")] = False,
) -> None:
    """ELBOs, margin and score of every pair, exact or by Monte Carlo with standard errors."""
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import scoring
        from vrpo_theory.couplings import Coupling
        from vrpo_theory.inputs import Sources
        from vrpo_theory.recording import opened
        from vrpo_theory.reproduce import Context
        from vrpo_theory.reproduce._provenance import provenance, record_fields
        from vrpo_theory.types import Budget

        sampler = scoring.sampler(design, weighting, Budget(n_t, n_yt), Coupling(shared), groups)
        options = {"device": device, "dtype": dtype, "device_map": device_map}
        sources = Sources(policy, reference, pairs, limit, truncate, adapter=adapter, options=options)
        context = Context(
            seed=seed, beta=beta, method=method, limit=limit, batch_tokens=batch_tokens, device=device, dtype=dtype
        )
        with opened(sources, store, lambda cases: record_fields(context, sources, cases)) as cases:
            total = scoring.forward_passes(cases, method, sampler)
            with tqdm(total=total, desc="forward passes", leave=False, disable=None) as bar:
                documents = scoring.score_pairs(
                    cases, method=method, sampler=sampler, beta=beta, seed=seed, batch_tokens=batch_tokens,
                    progress=bar.update,
                )  # fmt: skip
            origin = provenance(context, {sources.label: cases}) | {"sampler": sampler.document()}
        _print(documents, origin, as_json=json)


@app.command()
def plan(
    policy: Annotated[str, POLICY],
    reference: Annotated[str, REFERENCE],
    pairs: Annotated[Path, PAIRS],
    pilot: Annotated[int, typer.Option(min=4, help="evaluations a response")] = 64,
    budget: Annotated[float | None, typer.Option(help="cost a response and model, in forward passes")] = None,
    target_stderr: Annotated[float | None, typer.Option(help="wanted standard error of a score")] = None,
    target_bias: Annotated[float | None, typer.Option(help="wanted bound on the bias of the loss, nats")] = None,
    cost: Annotated[str, typer.Option(help="cost of a timestep, and of each mask at it")] = "0,1",
    beta: Annotated[float, typer.Option(help="DPO's beta")] = 0.2,
    seed: Annotated[int, typer.Option(help="seed of the pilot")] = 0,
    gradient: Annotated[Literal["none", "full", "up-proj"], typer.Option(help="predict its variance too")] = "none",
    limit: Annotated[int | None, typer.Option(min=1, help="use the first so many pairs")] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="cut rows that are too long")] = False,
    adapter: Annotated[Path | None, typer.Option(help="LoRA adapter of the policy")] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, help="tokens a forward pass, padding included")] = 2**12,
    device: Annotated[str, typer.Option(help="where the checkpoints run")] = "cpu",
    device_map: Annotated[str | None, typer.Option(help="as accelerate takes it: auto")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    json: Annotated[bool, typer.Option("--json", help="one JSON document on standard output")] = False,
) -> None:
    """The best way to spend a budget, or the least budget for a target, from a pilot on your own pairs."""
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import planning
        from vrpo_theory.inputs import Sources, read_cases
        from vrpo_theory.planning import report
        from vrpo_theory.reproduce import Context
        from vrpo_theory.reproduce._provenance import provenance

        given = sum(x is not None for x in (budget, target_stderr, target_bias))
        if given != 1:
            raise InputError(f"give one of --budget, --target-stderr and --target-bias, got {given}")
        prices = _numbers(cost, float, "--cost")
        if len(prices) != 2:
            raise InputError(f"--cost {cost!r} is not two numbers: the cost of a timestep and of a mask, as in 0,1")
        options = {"device": device, "dtype": dtype, "device_map": device_map}
        sources = Sources(policy, reference, pairs, limit, truncate, adapter=adapter, options=options)
        cases = read_cases(sources)
        with tqdm(desc="pilot evaluations", leave=False, disable=None) as bar:
            try:
                found = planning.plan(
                    cases, pilot=pilot, budget=budget, target_stderr=target_stderr, target_bias=target_bias,
                    cost=planning.Cost(*prices), beta=beta, seed=seed, gradient=gradient, batch_tokens=batch_tokens,
                    progress=bar.update,
                )  # fmt: skip
            except ValueError as error:
                raise InputError(str(error)) from None
        context = Context(seed=seed, beta=beta, limit=limit, batch_tokens=batch_tokens, device=device, dtype=dtype)
        if json:
            _print_json(report.document(found) | {"provenance": provenance(context, {sources.label: cases})})
        else:
            print(report.text(found))


@app.command()
def audit(
    estimator: Annotated[str, typer.Argument(help="MODULE:FUNCTION, from the current directory or the path")],
    lengths: Annotated[str, typer.Option(help="answer lengths")] = "1,2,5,8",
    n: Annotated[str, typer.Option(help="numbers of masks")] = "1,2,4,8,16",
    alpha: Annotated[float, typer.Option(help="probability of a wrong verdict")] = 1e-6,
    margin: Annotated[float, typer.Option(help="harmless bias, nats a token")] = 0.01,
    span: Annotated[str, typer.Option(help="estimates lie in [-first, second] times the toy's range")] = "2,0",
    toys: Annotated[str, typer.Option(help="toys to run on")] = "copied,rough,long_tailed,trained",
    seed: Annotated[int, typer.Option(help="seed of every draw")] = 0,
    seconds: Annotated[float, typer.Option(min=0, max=1e6, help="undecided after that time")] = 120,
    full: Annotated[bool, typer.Option("--full", help="go on after a rejection")] = False,
    json: Annotated[bool, typer.Option("--json", help="one JSON document on standard output")] = False,
) -> None:
    """Hold any ELBO estimator against exact values: 0 accepted, 3 rejected, 4 undecided."""
    with exit_codes():
        import sys
        from contextlib import redirect_stdout

        from tqdm import tqdm

        from vrpo_theory import auditing

        options: dict[str, Any] = {
            "lengths": _numbers(lengths, int, "--lengths"), "n": _numbers(n, int, "--n"), "alpha": alpha,
            "margin": margin, "span": _numbers(span, float, "--span"), "toys": toys.split(","), "seed": seed,
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


def _numbers(text: str, kind: type, option: str) -> list:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text!r} is not a list of numbers: write them as in 1,2,8") from None


def _print_audit(found: Any, origin: dict, *, as_json: bool) -> None:
    from vrpo_theory.reproduce import Context
    from vrpo_theory.reproduce._provenance import provenance

    if as_json:
        _print_json(found.document() | {"provenance": provenance(Context(seed=origin["audit"]["seed"]), {}) | origin})
        return
    from rich.console import Console

    console = Console()
    console.print(found.table(), highlight=False)
    for finding in found.findings:
        console.print(f"{finding.name}: {finding.evidence}", highlight=False, markup=False)
    if found.verdict == "accepted":
        console.print(f"accepted: {found.reason}", highlight=False, markup=False)


def _print_json(document: dict) -> None:
    import json

    print(json.dumps(document, allow_nan=False))


def _print(documents: list[dict], origin: dict, *, as_json: bool) -> None:
    if as_json:
        _print_json({"pairs": documents, "provenance": origin})
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
