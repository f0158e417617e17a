"""``vrpo audit``: any ELBO estimator against exact values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrpo_theory.cli._output import messages_only
from vrpo_theory.cli.options import Json, Out, Seed, not_negative, positive
from vrpo_theory.runs.console import exit_codes, print_json, say, show
from vrpo_theory.runs.parsing import numbers
from vrpo_theory.tables import terminal_width

if TYPE_CHECKING:
    from vrpo_theory.auditing import Audit, AuditOptions, LossEstimator

EXIT_CODES = {"accepted": 0, "rejected": 3, "undecided": 4}
METHOD = "compute_loss"
WORST = ("rejected", "undecided", "accepted")


def audit(
    estimators: Annotated[
        list[str], typer.Argument(help="MODULE:FUNCTION, one or several; the modules are imported, which executes them")
    ],
    lengths: Annotated[str, typer.Option(help="answer lengths to try, from 1 to 256")] = "1,2,5,8,70",
    n: Annotated[str, typer.Option(help="numbers of masks to try")] = "1,2,4,8,16",
    alpha: Annotated[float, typer.Option(callback=positive, help="largest probability of a wrong verdict")] = 1e-6,
    margin: Annotated[float, typer.Option(callback=positive, help="largest acceptable bias, in nats per token")] = 0.01,
    span: Annotated[
        str,
        typer.Option(help="assumed range A,B: estimates lie in [-A R, B R], where [-R, 0] holds all estimates of VRPO"),
    ] = "2,0",
    toys: Annotated[
        str, typer.Option(help="toy models to call the estimator on")
    ] = "copied,rough,long_tailed,trained,gaps",
    seed: Seed = 0,
    calls: Annotated[int, typer.Option(min=1, help="most calls of the estimator in one cell")] = 50_000,
    seconds: Annotated[
        float, typer.Option(callback=not_negative, help="CPU seconds after which open cells stay undecided, a cap")
    ] = 600,
    full: Annotated[bool, typer.Option("--full", help="go on after a rejection until every cell is decided")] = False,
    undecided: Annotated[bool, typer.Option("--all", help="show undecided cells too")] = False,
    loss: Annotated[
        bool,
        typer.Option("--loss", help="audit training losses: is their expectation a multiple of -ELBO/L, and which?"),
    ] = False,
    json: Json = False,
    out: Out = None,
) -> None:
    """Compare any ELBO estimator with exact values: accepted, rejected or undecided.

    ESTIMATOR is MODULE:FUNCTION, for example my_trainer:elbo for the function elbo of my_trainer.py in the current
    directory. The module is imported, so all code at its top level is EXECUTED. The function is called as

    \b
      FUNCTION(model, prompt_ids, answer_ids, n, generator)

    and returns the estimated ELBO in nats (a sum over tokens, so it is negative) as one number, or a tuple of it and
    its standard error (None where there is none).

    \b
      model       a masked predictor, a torch module on the CPU:
                  model(input_ids, attention_mask=None).logits takes int64
                  (B, T) and gives float32 (B, T, V); the id of the mask is
                  model.config.mask_token_id
      prompt_ids  int64 (P,), never masked
      answer_ids  int64 (L,), ends in model.config.eos_token_id, which
                  belongs to the answer
      n           the number of masks: each row of input_ids is one forward
                  pass, and a call may use n of them
      generator   a torch.Generator: all randomness comes from it
      batch_size  passed only if the function has a parameter of that name:
                  most rows that one call of the model may have

    This one is accepted:

    \b
      import torch
      def elbo(model, prompt_ids, answer_ids, n, generator):
          length = len(answer_ids)
          count = torch.randint(1, length + 1, (n, 1), generator=generator)
          rank = torch.rand(n, length, generator=generator).argsort(1).argsort(1)
          mask = rank < count  # (n, L): count tokens, chosen at random
          hidden = torch.where(mask, model.config.mask_token_id, answer_ids)
          ids = torch.cat([prompt_ids.repeat(n, 1), hidden], 1)
          logits = model(ids).logits[:, len(prompt_ids):]
          log_prob = logits.log_softmax(-1)[:, torch.arange(length), answer_ids]
          return float((length / count * mask * log_prob).sum(1).mean())

    With --loss, FUNCTION(model, input_ids, labels) returns the loss of the rows input_ids (n, P + L), whose labels are
    -100 at the prompt; or FUNCTION is an object with compute_loss(model, inputs), as trainers have it. It draws its
    masks from torch's global generator.

    Several estimators are summed up in one table. Exit codes: 0 accepted, 3 rejected, 4 undecided, the worst of them;
    2 if an estimator raises an exception, which is shown.
    """
    with exit_codes():
        options: AuditOptions = {
            "lengths": numbers(lengths, int, "--lengths", least=1),
            "n": numbers(n, int, "--n", least=1),
            "alpha": alpha,
            "margin": margin,
            "span": numbers(span, float, "--span"),
            "toys": toys.split(","),
            "calls": calls,
            "seconds": seconds,
        }
        from vrpo_theory import auditing
        from vrpo_theory.runs import keeping

        keeping.require_place(out, "audit")
        auditing.check_options(**options)
        found, documents = {}, {}
        for name in estimators:
            try:
                found[name], source = _audited(name, options, seed=seed, full=full, loss=loss)
            except auditing.EstimatorError as error:
                say(error.trace)
                raise
            asked = {**options, "seed": seed, "full": full, "loss": loss}
            origin = _origin(audit=asked, estimator=name, source=source)
            documents[name] = found[name].document() | {"provenance": origin}
        one = found[estimators[0]] if len(found) == 1 else None
        if json:
            print_json(documents[estimators[0]] if one else {"audits": documents})
        elif one:
            _show(one, undecided=undecided)
        else:
            show(auditing.summary(found, terminal_width()))
        for k, document in enumerate(documents.values(), 1):
            keeping.keep(document, out, "audit" if one else f"audit_{k}")
        for audit in sorted(found.values(), key=lambda audit: WORST.index(audit.verdict)):
            audit.raise_for_verdict()


def _audited(name: str, options: AuditOptions, *, seed: int, full: bool, loss: bool) -> tuple[Audit, str | None]:
    """The audit, and the digest of the estimator's source; what the estimator prints goes to standard error."""
    from tqdm import tqdm

    from vrpo_theory import auditing

    with messages_only(), tqdm(desc="cells decided", leave=False, disable=None) as bar:

        def progress(decided: int, cells: int) -> None:
            bar.total = cells
            bar.update(decided - bar.n)

        before = auditing.settings()
        function = auditing.load(name, METHOD if loss else "")
        for change in auditing.changes(before):
            say(f"importing {name.partition(':')[0]} changed {change}, for all code")
        found = auditing.audit(
            _of_loss(function) if loss else function, seed=seed, full=full, progress=progress, **options
        )
        return found, auditing.source_digest(getattr(function, METHOD, function))


def _of_loss(function: Any) -> LossEstimator:
    from vrpo_theory import auditing

    multiple = auditing.recognised(function)
    say(f"the loss is taken for {multiple.says}")
    return auditing.LossEstimator(function, multiple)


def _origin(**asked: Any) -> dict[str, Any]:
    from vrpo_theory.runs.provenance import made_with, sealed

    return sealed(made_with() | asked)


def _show(found: Audit, *, undecided: bool) -> None:
    hidden = 0 if undecided else sum(cell.verdict == "undecided" for cell in found.cells)
    if hidden < len(found.cells):
        show(found.table(terminal_width(), undecided=undecided) + "\n")
    if hidden:
        show(f"not shown: {hidden} undecided cells of {len(found.cells)} (--all shows them)")
    for finding in found.findings:
        show(f"{finding.name}: {finding.evidence}")
    if found.verdict == "accepted":
        show(f"accepted: {found.reason}")
    show(f"exit code {EXIT_CODES[found.verdict]}: {found.verdict} (0 accepted, 3 rejected, 4 undecided)")
