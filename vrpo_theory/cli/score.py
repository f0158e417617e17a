"""``vrpo score``: ELBOs, margin and score of every pair."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from vrpo_theory.cli._shared import print_json
from vrpo_theory.console import exit_codes, show, show_table
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
    Store,
    Truncate,
)


def score(
    policy: Policy,
    reference: Reference,
    pairs: Pairs,
    method: Annotated[
        Literal["auto", "exact", "mc"], typer.Option(help="auto: exact for responses of up to 12 tokens")
    ] = "auto",
    n_t: Annotated[int, typer.Option(min=1, help="timesteps per response")] = 8,
    n_yt: Annotated[int, typer.Option(min=1, help="masks per timestep")] = 1,
    shared: Annotated[bool, typer.Option(help="policy and reference see the same masks")] = True,
    design: Annotated[str, typer.Option(help="design of the masks, for example power_strata(power=2.0)")] = "iid_count",
    weighting: Annotated[str, typer.Option(help="weights of the masks, for example two_way(rho=1.0)")] = "plain",
    groups: Annotated[int, typer.Option(min=1, help="independent estimates that are averaged")] = 1,
    beta: Beta = 0.2,
    seed: Seed = 0,
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
    store: Store = None,
    shown: Annotated[
        int | None, typer.Option("--show", min=1, help="print the first N pairs (3) as they are scored, then stop")
    ] = None,
    json: Json = False,
) -> None:
    """ELBOs, margin and score of every pair, exact or by Monte Carlo with standard errors."""
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import inputs, scoring
        from vrpo_theory.couplings import Coupling
        from vrpo_theory.inputs import Sources
        from vrpo_theory.recording import opened
        from vrpo_theory.reproduce import Context
        from vrpo_theory.reproduce._provenance import provenance, record_fields
        from vrpo_theory.types import Budget

        sampler = scoring.sampler(design, weighting, Budget(n_t, n_yt), Coupling(shared), groups)
        options = {"device": device, "dtype": dtype, "device_map": device_map}
        sources = Sources(
            policy, reference, pairs, limit, truncate, end_of_turn, adapter, options, rendered, chat_template
        )  # fmt: skip
        if shown is not None:
            show(inputs.shown(sources, shown))
            return
        context = Context(
            seed=seed, beta=beta, method=method, limit=limit, batch_tokens=batch_tokens, device=device, dtype=dtype,
            scale="real",
        )  # fmt: skip
        with opened(sources, store, lambda cases: record_fields(context, sources, cases)) as cases:
            total = scoring.forward_passes(cases, method, sampler)
            with tqdm(total=total, desc="forward passes", leave=False, disable=None) as bar:
                documents = scoring.score_pairs(
                    cases, method=method, sampler=sampler, beta=beta, seed=seed, batch_tokens=batch_tokens,
                    progress=bar.update,
                )  # fmt: skip
            origin = provenance(context, {sources.label: cases}) | {"sampler": sampler.document()}
        _print(documents, origin, as_json=json)


def _print(documents: list[dict], origin: dict, *, as_json: bool) -> None:
    if as_json:
        print_json({"pairs": documents, "provenance": origin})
        return
    columns = ("id", "method", "margin", "score", "stderr", "v_time", "v_mask")
    rows = [[_text(document[name]) for name in columns] for document in documents]
    legend = "margin in nats; score = beta x margin; stderr: of the score; v_time, v_mask: nats^2"
    show_table(columns, rows, title=legend, left={columns.index("method")})


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
