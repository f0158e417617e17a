"""How long the audit of every specimen of the zoo takes at the command's defaults, and whether its verdict is right.

``python benchmarks/auditor.py [--quick]``; one specimen at a time, one thread. Kept: seconds, cells, calls of the
estimator, the expected verdict and the verdict given, and the names of the expected and the reported mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
        "mistake named": report.findings[0].name if report.findings else None,
        "reason": report.reason,
    }


def measure(quick: bool, names: Sequence[str] = tuple(ZOO)) -> Mapping[str, Sequence[measuring.Row]]:
    """Every audit, one after the other; quick ones show that the script runs, not how the specimens fare."""
    torch.set_num_threads(1)
    rows = [specimen(name, quick=quick) for name in names]
    right = sum((r["due"], r["mistake due"]) == (r["given"], r["mistake named"]) for r in rows)
    summary = {"specimens": len(rows), "right": right, "slowest_s": max(r["seconds"] for r in rows)}
    return {"summary": [summary], "specimens": rows}


if __name__ == "__main__":
    measuring.run("auditor", __doc__, measure)
