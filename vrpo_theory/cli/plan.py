"""``vrpo plan``: how to spend a budget, or the least budget for a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vrpo_theory.cli.options import COUNT, BatchTokens, Beta, Json, Out, Seed, Store, positive, told
from vrpo_theory.cli.sources import reads_cases
from vrpo_theory.errors import InputError
from vrpo_theory.runs.console import exit_codes, print_json, show
from vrpo_theory.runs.inputs import Sources
from vrpo_theory.runs.parsing import numbers
from vrpo_theory.tables import terminal_width, wrapped

if TYPE_CHECKING:
    from vrpo_theory.planning import Cost


@reads_cases()
def plan(
    context: typer.Context,
    sources: Sources,
    pilot: Annotated[
        int,
        typer.Option(**COUNT, help="size of the pilot: forward passes per response and model, in groups of 8 masks"),
    ] = 64,
    budget: Annotated[
        float | None, typer.Option(callback=positive, help="budget to spend: forward passes per response and model")
    ] = None,
    target_stderr: Annotated[
        float | None, typer.Option(callback=positive, help="largest acceptable standard error of a score")
    ] = None,
    target_bias: Annotated[
        float | None, typer.Option(callback=positive, help="largest acceptable bias of the loss, in nats")
    ] = None,
    cost: Annotated[str, typer.Option(help="cost per timestep and per mask, in forward passes")] = "0,1",
    beta: Beta = 0.2,
    seed: Seed = 0,
    gradient: Annotated[
        Literal["none", "full", "up-proj"],
        typer.Option(help="also predict the variance of the loss gradient in these parameters"),
    ] = "none",
    batch_tokens: BatchTokens = 2**12,
    store: Store = None,
    json: Json = False,
    out: Out = None,
) -> None:
    """Find the best way to spend a budget, or the least budget for a target, from a pilot on your own pairs.

    With --store the pilot is kept: another budget or target needs no new evaluations, and a larger --pilot only the
    missing ones.
    """
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import planning
        from vrpo_theory.planning import report
        from vrpo_theory.runs import keeping, verdicts
        from vrpo_theory.runs.provenance import provenance
        from vrpo_theory.runs.recording import opened

        prices = _cost(cost)
        keeping.require_place(out, "plan")
        given = sum(x is not None for x in (budget, target_stderr, target_bias))
        if given != 1:
            raise InputError(f"give one of --budget, --target-stderr and --target-bias, got {given}")
        with opened(sources, store, told(context)) as cases:
            total = planning.forward_passes(cases, pilot)
            with tqdm(total=total, desc="forward passes of the pilot", leave=False, disable=None) as bar:
                try:
                    found = planning.plan(
                        cases, pilot=pilot, budget=budget, target_stderr=target_stderr, target_bias=target_bias,
                        cost=prices, beta=beta, seed=seed, batch_tokens=batch_tokens,
                        progress=bar.update,
                    )  # fmt: skip
                except ValueError as error:
                    raise InputError(str(error)) from None
            if gradient != "none":
                found = planning.with_gradient(found, cases, gradient, beta=beta, seed=seed, batch_tokens=batch_tokens)
            origin = provenance(told(context), {sources.label: cases})
        same, width = _same_options(context, "score"), terminal_width()
        document = report.document(found, same) | {"provenance": origin}
        if json:
            print_json(document)
        else:
            show(f"{report.text(found, same, width)}\n\n{wrapped(verdicts.of_plan(document), width)}")
        keeping.keep(document, out, "plan")


def _cost(text: str) -> Cost:
    """A cost model from "0,1"."""
    from vrpo_theory.planning import Cost

    try:
        return Cost(*numbers(text, float, "--cost", count=2, example="0,1"))
    except ValueError as error:
        raise InputError(f"--cost {text!r}: {error}") from None


def _same_options(context: typer.Context, other: str) -> list[str]:
    """The options that the user gave and another command takes too, as words of a command line."""
    commands = context.parent.command if context.parent else context.command
    taken = {p.name for p in commands.get_command(context, other).params}  # type: ignore[attr-defined]
    sources = {p.name: context.get_parameter_source(p.name or "") for p in context.command.params}
    words = []
    for option in context.command.params:
        if option.name in taken - {"json"} and getattr(sources[option.name], "name", "") == "COMMANDLINE":
            value = context.params[option.name]
            name = option.secondary_opts[0] if value is False else option.opts[0]
            words += [name] if isinstance(value, bool) else [name, str(value)]
    return words
