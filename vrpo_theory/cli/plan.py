"""``vrpo plan``: how to spend a budget, or the least budget for a target."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from vrpo_theory.cli._shared import numbers, print_json
from vrpo_theory.console import exit_codes, show
from vrpo_theory.errors import InputError
from vrpo_theory.options import (
    Adapter,
    BatchTokens,
    Beta,
    ChatTemplate,
    Device,
    DeviceMap,
    Dtype,
    EndOfTurn,
    Json,
    Limit,
    Pairs,
    Policy,
    Reference,
    Rendered,
    Seed,
    Truncate,
    positive,
)


def plan(
    policy: Policy,
    reference: Reference,
    pairs: Pairs,
    pilot: Annotated[int, typer.Option(min=4, help="evaluations per response")] = 64,
    budget: Annotated[
        float | None, typer.Option(callback=positive, help="cost per response and model, in forward passes")
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
        Literal["none", "full", "up-proj"], typer.Option(help="predict the variance of this gradient too")
    ] = "none",
    limit: Limit = None,
    truncate: Truncate = False,
    rendered: Rendered = False,
    end_of_turn: EndOfTurn = True,
    chat_template: ChatTemplate = None,
    adapter: Adapter = None,
    batch_tokens: BatchTokens = 2**12,
    device: Device = "cpu",
    device_map: DeviceMap = None,
    dtype: Dtype = "float32",
    json: Json = False,
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
        prices = numbers(cost, float, "--cost")
        if len(prices) != 2:
            raise InputError(f"--cost {cost!r} is not two numbers: the cost of a timestep and of a mask, as in 0,1")
        options = {"device": device, "dtype": dtype, "device_map": device_map}
        sources = Sources(
            policy, reference, pairs, limit, truncate, end_of_turn, adapter, options, rendered, chat_template
        )  # fmt: skip
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
        context = Context(
            seed=seed, beta=beta, limit=limit, batch_tokens=batch_tokens, device=device, dtype=dtype, scale="real"
        )
        if json:
            print_json(report.document(found) | {"provenance": provenance(context, {sources.label: cases})})
        else:
            show(report.text(found))
