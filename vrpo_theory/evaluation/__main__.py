"""The harness's command line, which knows the model ``vrpo``: ``python -m vrpo_theory.evaluation --model vrpo ...``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import typer

from vrpo_theory.errors import InputError
from vrpo_theory.runs.console import exit_codes


def main() -> None:
    """Entry point."""
    with exit_codes():
        if find_spec("lm_eval") is None:
            raise InputError("lm-evaluation-harness is not installed: pip install 'vrpo-theory[evaluation]'")
        from lm_eval.__main__ import cli_evaluate

        from vrpo_theory.evaluation import harness  # noqa: F401 (registers the model)

        cli_evaluate()


if __name__ == "__main__":
    try:
        main()
    except typer.Exit as end:
        sys.exit(end.exit_code)
