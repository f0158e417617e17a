"""How long the audit of every specimen of the zoo takes at the command's defaults, and whether its verdict is right.

``python benchmarks/auditor.py [--quick]``; one specimen at a time, one thread. Kept: seconds, cells, calls of the
estimator, the verdict that is due and the verdict given, and the mistake by name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import measuring
import torch

from vrpo_theory.auditing import audit
from vrpo_theory.auditing.zoo import ZOO

QUICK = {"lengths": (2,), "n": (1,), "toys": ("copied",)}


def specimen(name: str, *, quick: bool) -> measuring.Row:
    """The audit of one specimen."""
    member = ZOO[name]
    found = []
    spent = measuring.seconds(lambda: found.append(audit(member.estimator, **(QUICK if quick else {}))))
    report = found[0]
    return {
        "estimator": name,
        "seconds": spent,
        "cells": len(report.cells),
        "due": member.verdict,
        "given": report.verdict,
        "mistake due": member.mistake,
        "mistake named": report.mistake,
        "reason": report.reason,
    }


def measure(names: list[str], folder: Path | None = None, *, quick: bool = False) -> Path:
    """Audit the named specimens and keep what came of it."""
    torch.set_num_threads(1)
    rows = [specimen(name, quick=quick) for name in names]
    right = sum((r["due"], r["mistake due"]) == (r["given"], r["mistake named"]) for r in rows)
    summary = {"specimens": len(rows), "right": right, "slowest_s": max(r["seconds"] for r in rows)}
    return measuring.keep("auditor", {"summary": [summary], "specimens": rows}, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one cell each: shows that it runs, not how it fares")
    measure(list(ZOO), quick=parser.parse_args().quick)
