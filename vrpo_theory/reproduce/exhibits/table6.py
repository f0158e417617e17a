"""Block and answer length: chosen on validation prompts as the paper chose its own, and what the choice is worth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.exhibits.table4 import EOS
from vrpo_theory.reproduce.paper import tables
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import joined
from vrpo_theory.reproduce.trained import paired
from vrpo_theory.reproduce.trained.harness import Harness
from vrpo_theory.reproduce.trained.options import Training
from vrpo_theory.reproduce.trained.rows import UNIT, numbers
from vrpo_theory.reproduce.trained.scores import ALL
from vrpo_theory.reproduce.trained.study import START, TrainingStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vrpo_theory.training.arms import Arm

POLICIES = {START: 0, "VRPO": 2}
"""And their columns in the paper's table: the block's length, then the answer's."""
LENGTH, BLOCKS, ROOMS = 8, (1, 2, 4, 8), (0, 2, 4)
"""Tokens of the right answers, of a block, and of a canvas beyond the answer."""
SEEDS = 3
"""Of VRPO's runs, that write with every length."""
CLIPPED = "a block as long as the canvas is no block at all: low-confidence remasking"


def compute(context: Context) -> list[Cell]:
    """Shares of right answers on validation by lengths; the best choice of each policy, judged on the test."""
    if context.own.scale != "toy":
        return list(_elsewhere(Harness(context.own.runs, context.own.scale)))
    study = TrainingStudy(context)
    return [cell for policy in POLICIES for cell in _policy(study, policy)]


def _policy(study: TrainingStudy, policy: str) -> Iterator[Cell]:
    arms = [] if policy == START else study.arms(study.limited, policy)[:SEEDS]
    shares = {}
    for room in ROOMS:
        for block in (*BLOCKS[:-1], LENGTH + room):
            found = study.right(arms, _sampler(block), room, "validation")
            shares[block, room] = float(found.mean())
            where = _column(study.limited.name, policy) | {"block": block, "answer": LENGTH + room}
            note = CLIPPED if block == LENGTH + room else ""
            yield Cell(
                "right on validation", where, shares[block, room], method="mc", unit=UNIT, n=len(found), note=note
            )
    block, room = max(shares, key=lambda lengths: (shares[lengths], lengths))
    for row, value in (("best block", block), ("best answer", LENGTH + room)):
        yield Cell(
            row, _column(study.limited.name, policy), float(value), method="mc", unit="tokens", note=_printed(policy)
        )
    yield _judged(
        study, arms, policy, max((b, r) for b, r in shares if b < LENGTH + r and shares[b, r] == _best(shares))
    )


def _best(shares: Mapping[tuple[int, int], float]) -> float:
    """The largest share among blocks that are shorter than the canvas."""
    return max(share for (block, room), share in shares.items() if block < LENGTH + room)


def _judged(study: TrainingStudy, arms: Sequence[Arm], policy: str, lengths: tuple[int, int]) -> Cell:
    """The best blocks against none, on the test; the paper's choice has blocks where it is above 0."""
    ours, none = (study.right(arms, _sampler(b), r) for b, r in (lengths, (LENGTH, 0)))
    found, shorter = paired.difference(ours, none), _shorter(policy)
    verdict = paired.judged(found, 1 if np.mean(shorter) > 0.5 else -1)
    about = numbers(found) | {"interval": verdict.interval, "verdict": verdict.word}
    note = f"blocks of {lengths[0]} in {LENGTH + lengths[1]} tokens against none in {LENGTH}"
    return Cell(
        "minus no blocks",
        _column(study.limited.name, policy),
        **about | {"note": joined(note, verdict.note, _printed(policy))},
    )


def _shorter(policy: str) -> list[bool]:
    """Whether the paper's choice has blocks shorter than the answer, by benchmark."""
    k = POLICIES[policy]
    return [row[k] < row[k + 1] for row in tables()["table6_inference"]["rows"].values()]


def _printed(policy: str) -> str:
    found = _shorter(policy)
    return f"the paper's choice has blocks shorter than the answer in {sum(found)} of {len(found)} benchmarks"


def _sampler(block: int) -> str:
    return f"semi_autoregressive(eos={EOS}, block_length={block})"


def _elsewhere(scores: Harness) -> Iterator[Cell]:
    """Of folders ``reference-32-512``, ``vrpo-32-512``, ...: a policy, its block's and its answer's length."""
    for policy in POLICIES:
        for path in sorted(scores.folder.iterdir()):
            if found := re.fullmatch(rf"{policy.lower()}-(\d+)-(\d+)", path.name):
                where = {"block": int(found[1]), "answer": int(found[2])}
                about = numbers(scores.accuracy(path.name, ALL))
                yield Cell("right", _column(scores.label, policy) | where, **about)


def _column(label: str, policy: str) -> dict[str, Any]:
    return {"model": label, "policy": policy}


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """One panel per policy: shares against the block's length, a line for each length of the answer."""
    part = [c for c in cells if "block" in c["column"]]
    policies = list(dict.fromkeys(c["column"]["policy"] for c in part))
    figure, axes = plotting.panels(len(policies))
    for ax, policy in zip(axes, policies, strict=True):
        shown = [c for c in part if c["column"]["policy"] == policy]
        series = lines(shown, lambda column: f"answer of {column['answer']}", "block")
        plotting.curves(ax, series, title=policy, xlabel="block length", ylabel="share right", yscale="linear")
    return figure


exhibit(
    Exhibit(
        name="table6",
        title="Right answers by block and answer length",
        paper_ref="2505.19223v2, Table 6",
        compute=compute,
        plot=plot,
        options=Training,
    )
)
