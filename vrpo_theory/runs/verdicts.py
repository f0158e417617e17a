"""What results mean, in a sentence or two: the words with which commands end, and which a report repeats.

All of them read the JSON documents, so that a stored result says the same as the command that made it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vrpo_theory.documents import Fields
from vrpo_theory.schemes import Scheme
from vrpo_theory.statements.loss import uniform_bias_bound


def of_scores(document: Fields) -> str:
    """Of scored pairs: which way they lean, how large the noise is, and what it can do to the loss.

    Examples
    --------
    >>> import textwrap
    >>> said = of_scores({"pairs": [{"score": 0.3, "stderr": 0.1}, {"score": -0.01, "stderr": 0.1}]})
    >>> print(textwrap.fill(said, 100))
    In 1 of 2 pairs the policy prefers the chosen answer more than the reference does. The standard
    error of a score is 0.1 nats (root mean square over pairs); 1 of 2 scores lies within two of 0; the
    bias of the DPO loss is at most 0.0012 nats.
    """
    pairs = document["pairs"]
    lean = sum(p["score"] > 0 for p in pairs)
    said = f"In {lean} of {len(pairs)} pairs the policy prefers the chosen answer more than the reference does."
    sampled = [p for p in pairs if p["stderr"]]
    if not sampled:
        return f"{said} The scores are exact." if all(p.get("method") == "exact" for p in pairs) else said
    variances = [p["stderr"] ** 2 for p in sampled]
    unclear = sum(abs(p["score"]) < 2 * p["stderr"] for p in sampled)
    bound = sum(uniform_bias_bound(variances)) / len(sampled)
    return (
        f"{said} The standard error of a score is {_deviation(variances):.2g} nats (root mean square over pairs); "
        f"{unclear} of {len(sampled)} scores {'lies' if unclear == 1 else 'lie'} within two of 0; "
        f"the bias of the DPO loss is at most {bound:.2g} nats."
    )


def of_plan(document: Fields) -> str:
    """Of a plan: standard errors of VRPO's choice and of the recommendation at one cost, and the bias that is left."""
    vrpo, best = document["vrpo"], document["recommended"]
    scheme = replace(Scheme.from_document(document), groups=1)
    error, ours = (math.sqrt(f["var_score"]) for f in (vrpo, best))
    return (
        f"VRPO's {vrpo['n_t'] * vrpo['n_yt']} masks give a standard error of {error:.2g} nats on your pairs; "
        f"the same passes under {scheme} give {ours:.2g}; "
        f"the bias of the DPO loss is then at most {best['bias_bound']:.2g} nats."
    )


def of_audit(document: Fields) -> str:
    """Of an audit: the verdict, its reason, the likely mistake."""
    mistake = document["mistake"]
    return f"{document['verdict']}: {document['reason']}" + (f"; likely mistake: {mistake}" if mistake else "") + "."


def of_cells(document: Fields) -> str:
    """Of an exhibit: how many of the paper's orders and of the predictions hold; of the ablation also the noise.

    Empty where nothing was judged.
    """
    cells = document["cells"]
    counts = Counter(c["verdict"] for c in cells if c["verdict"])
    judged = [
        f"{counts[good]} of {counts[good] + counts[bad]} {what} hold"
        for good, bad, what in (
            ("order holds", "order fails", "orders of the paper"),
            ("agrees", "differs", "predictions"),
        )
        if counts[good] + counts[bad]
    ]
    if judged and counts["inconclusive"]:
        judged.append(f"{counts['inconclusive']} drown in noise")
    said = "; ".join(judged)
    return "\n".join(filter(None, [f"{said}." if said else "", *_ablations(cells)]))


def _ablations(cells: Sequence[Fields]) -> list[str]:
    """A sentence for each model: VRPO's eight masks, the same without sharing or in one timestep."""
    found: dict[str, dict[tuple[int, int, bool], float]] = {}
    for c in cells:
        column = c["column"]
        if c["row"] == "var_score" and {"n_t", "n_yt", "shared", "model"} <= column.keys() and c["value"] is not None:
            place = column["n_t"], column["n_yt"], column["shared"]
            found.setdefault(column["model"], {}).setdefault(place, c["value"])
    return [
        _ablation(model, values) for model, values in found.items() if {(8, 1, True), (4, 1, True)} <= values.keys()
    ]


def _ablation(model: str, values: Mapping[tuple[int, int, bool], float]) -> str:
    eight = values[8, 1, True]
    said = f"{model}: VRPO's 8 masks give a standard error of {math.sqrt(eight):.2g} nats"
    others = {(4, 1, True): "4 masks", (1, 4, True): "4 masks of one timestep", (4, 1, False): "4 that are not shared"}
    parts = [f"{name} {math.sqrt(values[place]):.2g}" for place, name in others.items() if place in values]
    return (
        f"{said}, {', '.join(parts)}; with 8 the bias of the DPO loss is at most {uniform_bias_bound(eight):.2g} nats."
    )


def of(document: Fields) -> str:
    """Of a result of any command; empty for what is none.

    Examples
    --------
    >>> of({"verdict": "accepted", "reason": "the bias is small", "mistake": None, "findings": []})
    'accepted: the bias is small.'
    """
    kinds = {"pairs": of_scores, "ranking": of_plan, "findings": of_audit, "cells": of_cells}
    return next((say(document) for key, say in kinds.items() if key in document), "")


def _deviation(variances: Sequence[float]) -> float:
    return math.sqrt(sum(variances) / len(variances))
