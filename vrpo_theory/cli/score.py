"""``vrpo score``: ELBOs, margin and score of every pair."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import typer

from vrpo_theory.cli.options import COUNT, BatchTokens, Beta, Json, Out, Seed, Store, told
from vrpo_theory.cli.sources import reads_cases
from vrpo_theory.couplings import Coupling
from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.runs.console import exit_codes, print_json, say, show, show_table
from vrpo_theory.runs.inputs import Sources
from vrpo_theory.schemes import Scheme, read_scheme
from vrpo_theory.tables import terminal_width, wrapped
from vrpo_theory.uncertainty import error_digits, with_error

FEW = 5
"""Degrees of freedom below which a standard error may be off by a third, 1/sqrt(2 df), or more."""
ROUGH = f"fewer than {FEW} degrees of freedom: the standard error may be off by a third or more; take more groups"


@reads_cases()
def score(
    context: typer.Context,
    sources: Sources,
    method: Annotated[
        Literal["auto", "exact", "mc"],
        typer.Option(help="auto: mc if an option of the budget is given, else exact for responses of up to 12 tokens"),
    ] = "auto",
    n_t: Annotated[int | None, typer.Option(**COUNT, help="budget: timesteps per response  [default: 8]")] = None,
    n_yt: Annotated[int | None, typer.Option(**COUNT, help="budget: masks per timestep  [default: 1]")] = None,
    shared: Annotated[
        bool | None,
        typer.Option("--shared/--no-shared", help="budget: policy and reference see the same masks  [default: shared]"),
    ] = None,
    design: Annotated[
        str | None, typer.Option(help="budget: design, for example power_strata(power=2.0)  [default: iid_count]")
    ] = None,
    weighting: Annotated[
        str | None, typer.Option(help="budget: weights, for example two_way(rho=1.0)  [default: plain]")
    ] = None,
    groups: Annotated[
        int | None, typer.Option(**COUNT, help="budget: number of independent estimates to average  [default: 1]")
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            help="budget: all of this in one, for example 'strata(), plain(), n_t=8, groups=2' or 'default, n_t=9', or "
            "a file of it, for example what vrpo plan --json wrote; the other options change it"
        ),
    ] = None,
    beta: Beta = 0.2,
    seed: Seed = 0,
    batch_tokens: BatchTokens = 2**12,
    store: Store = None,
    shown: Annotated[
        int | None,
        typer.Option("--show", min=1, help="print the first N pairs (default 3) as they are scored, then stop"),
    ] = None,
    json: Json = False,
    out: Out = None,
) -> None:
    """Compute ELBOs, margin and score of every pair, exactly or by Monte Carlo with standard errors."""
    with exit_codes():
        from tqdm import tqdm

        from vrpo_theory import scoring
        from vrpo_theory.runs import inputs, keeping
        from vrpo_theory.runs.provenance import provenance
        from vrpo_theory.runs.recording import opened

        asked = _scheme(scheme, design=design, weighting=weighting, n_t=n_t, n_yt=n_yt, groups=groups, shared=shared)
        if method == "exact" and asked is not None:
            raise InputError(
                "--method exact evaluates every mask and has no budget: drop --n-t and the like, or --method exact"
            )
        keeping.require_place(out, "score")
        if shown is not None:
            show(inputs.shown(sources, shown))
            return
        used = asked or scoring.untold(Coupling(shared is not False))
        options = told(context) | {"scheme": used.text}
        with opened(sources, store, options) as cases:
            if method == "auto" and asked is None:
                say(scoring.choice(cases))
            total = scoring.forward_passes(cases, method, asked)
            with tqdm(total=total, desc="forward passes", leave=False, disable=None) as bar:
                documents = scoring.score_pairs(
                    cases, asked, method=method, shared=shared is not False, beta=beta, seed=seed,
                    batch_tokens=batch_tokens, progress=bar.update,
                )  # fmt: skip
            origin = provenance(options, {sources.label: cases}) | {"scheme": used.document()}
        document = {"pairs": documents, "provenance": origin}
        _print(document, as_json=json)
        keeping.keep(document, out, "score")


def _scheme(source: str | None, **options: Any) -> Scheme | None:
    """The scheme that the options ask for; options override ``--scheme``; None if only a sharing was given.

    Raises
    ------
    InputError
        For what does not exist or go together.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if source is None and not given.keys() - {"shared"}:
        return None
    try:
        told = read_scheme(source).document() if source is not None else {}
        found = Scheme.from_document(told | given)
    except ValueError as error:
        raise InputError(one_line(error)) from None
    if max(found.budget.n_t, found.budget.n_yt, found.groups) > COUNT["max"]:
        raise InputError(f"--scheme {found}: at most {COUNT['max']} timesteps, masks and groups: give fewer")
    return found


def _print(document: Document, *, as_json: bool) -> None:
    from vrpo_theory.runs import verdicts

    if as_json:
        print_json(document)
        return
    documents = document["pairs"]
    columns = ["id", "method", "margin", "score", "stderr", "df", "v_time", "v_mask"]
    known = any(d["loglik_margin"] is not None for d in documents)
    if known:
        columns.insert(columns.index("score"), "loglik_margin")
    rows = [[_text(name, document) for name in columns] for document in documents]
    legend = "margin in nats; score = beta x margin, 0.25(3): with a standard error of 0.03 (95% interval: times "
    legend += "Student's t of df degrees of freedom); v_time, v_mask: nats^2"
    legend += "; loglik_margin: the margin of exact log-likelihoods, in nats" * known
    show_table(columns, rows, title=legend, left={columns.index("method")})
    notes = Counter(note for document in documents for note in _notes(document))
    for note, count in notes.items():
        show(f"{count} of {len(documents)} pairs: {note}")
    show(wrapped(verdicts.of_scores(document), terminal_width()))


def _notes(document: Fields) -> list[str]:
    few = document["stderr"] and document["df"] is not None and document["df"] < FEW
    return [note for note in (document["note"], ROUGH * bool(few)) if note]


def _text(name: str, document: Fields) -> str:
    """A number as far as it is known: exact ones to six digits, estimated ones as their error allows."""
    value, df = document[name], document["df"]
    if not isinstance(value, float):
        return "-" if value is None else str(value)
    value += 0.0  # a zero has no sign
    error = {"margin": document["margin_stderr"], "score": document["stderr"]}.get(name)
    if error:
        return with_error(value, error, df)
    if document["method"] == "exact" or error == 0:
        return f"{value:.6g}"
    digits = {"df": 2, "margin": 3, "score": 3}.get(name, error_digits(df))
    return f"{value:.{digits}g}"
