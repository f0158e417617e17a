"""``python -m vrpo_theory.training.toy [--out DIR] [--check] [--tune]``"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from vrpo_theory.errors import CheckError, InputError
from vrpo_theory.files import write_atomically


def toy(
    out: Annotated[Path, typer.Option(help="folder to write the two models, the pairs and the card to")] = Path(
        "results/toy_llada"
    ),
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="train again and compare with the packaged models: bit for bit on equal kernels, else to a tolerance",
        ),
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="try learning rates and numbers of steps of VRPO on the validation split")
    ] = False,
) -> None:
    """Train the toy language's reference and policy: the supervised stage, then VRPO, on one thread."""
    import torch

    torch.set_num_threads(1)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that no file is left half made
    try:
        _run(out, check=check, tune=tune)
    except InputError as error:
        _leave(str(error), 2)
    except CheckError as error:
        _leave(str(error), 3)
    except KeyboardInterrupt:
        _leave("interrupted; to resume: the same command", 130)
    except (OSError, ArithmeticError, RuntimeError, ValueError) as error:
        _leave(f"{type(error).__name__}: {error}; to resume: the same command", 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(out: Path, *, check: bool, tune: bool) -> None:
    from vrpo_theory.models.llada import load
    from vrpo_theory.training.toy import checking, package, tuning
    from vrpo_theory.training.toy.recipe import RECIPE

    if tune:
        found = tuning.tune(load(out / "reference").requires_grad_(False), RECIPE)
        write_atomically(out / "tuning.json", json.dumps(found, indent=1) + "\n")
        print(f"choice: {found['choice']}")
    elif check:
        with tempfile.TemporaryDirectory() as folder:
            package.make(Path(folder), RECIPE)
            pairs = package.packaged_pairs(RECIPE.seed)[package.SHORTEST]
            print(checking.compare(Path(folder), package.PACKAGED, pairs))
    else:
        card = package.make(out, RECIPE)
        print(f"{out}: " + ", ".join(f"{role} {sha[:12]}" for role, sha in card["weights"].items()))


def _leave(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(code)


app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(toy)

if __name__ == "__main__":
    app(prog_name="python -m vrpo_theory.training.toy")
