"""Where the variance sits: mean and variance of one mask's term by its count, and V_t against V_yt by length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vrpo_theory import plotting
from vrpo_theory.couplings import Contrast
from vrpo_theory.documents import Document
from vrpo_theory.reproduce.base import Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import over_pairs
from vrpo_theory.reproduce.toys import toys
from vrpo_theory.types import SIDES, Case, Estimate, Moments, Profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORT = ("rough table", "mid table", "markov", "toy LLaDA")
LONG = tuple(f"markov, L = {length}" for length in (64, 256, 512, 1024))
SHARES = (1, 2, 3, 4, 6, 8)
"""Counts that are shown of long responses: 1, ..., in eighths of L, with the smallest ones."""
UNITS = {"mean_term": "nats", "var_term": "nats^2", "v_time": "nats^2", "v_mask": "nats^2"}


def compute(context: Context) -> list[Cell]:
    """Per model, means over pairs and both responses, of the difference of policy and reference on shared masks."""
    return [cell for model, cases in context.cases.items() for cell in _cells(model, cases, context)]


def _cells(model: str, cases: Sequence[Case], context: Context) -> Iterator[Cell]:
    found = _profiles(model, cases, context)
    length = found[0].length
    sign = np.array([1.0, -1.0])
    for count in _counts(length):
        mean = [Estimate(length / count * float(p.mean[count] @ sign)) for p in found]
        variance = [Estimate((length / count) ** 2 * float(sign @ p.covariance[count] @ sign)) for p in found]
        for row, values in (("mean_term", mean), ("var_term", variance)):
            yield Cell(row, {"model": model, "l": count}, **over_pairs(values, context.seed), unit=UNITS[row])
    yield from _components(model, found, context)


def _components(model: str, found: Sequence[Profile], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    moments = [exact.contrast_moments(p, Contrast("chosen", (1.0, -1.0))) for p in found]
    column = {"model": model, "L": found[0].length}
    for row in ("v_time", "v_mask"):
        values = [Estimate(float(getattr(m, row))) for m in moments]
        yield Cell(row, column, **over_pairs(values, context.seed), unit=UNITS[row])
    yield Cell("share_time", column, **_share(moments, context.seed))


def _share(moments: Sequence[Moments], seed: int) -> Document:
    """V_t of V_t + V_yt, over the responses that have any variance."""
    parts = [(float(m.v_time or 0.0), float(m.v_mask or 0.0)) for m in moments]
    found = [Estimate(time / (time + mask)) for time, mask in parts if time + mask]
    note = "V_t / (V_t + V_yt), per response"
    if len(found) < len(moments):
        note += f"; {len(moments) - len(found)} of {len(moments)} responses have no variance to share"
    return over_pairs(found, seed, note) if found else {"value": None, "note": note}


def _profiles(model: str, cases: Sequence[Case], context: Context) -> list[Profile]:
    """By enumeration where masks are few enough, else by the gap recursion."""
    from vrpo_theory import exact

    if all(map(exact.within, cases)):
        with context.bar(model, exact.mask_count(cases)) as progress:
            answers = exact.tabulate(cases, batch_tokens=context.batch_tokens, progress=progress)
        return [p for answer in answers for p in exact.profiles(answer).values()]
    jobs = [(case, side) for case in cases for side in SIDES]
    return [
        exact.gap_profile(case.pair.side(side), case.policy, case.reference)
        for case, side in context.track(jobs, f"{model}: gaps")
    ]


def _counts(length: int) -> list[int]:
    """Every count of a short response; of a long one powers of two, and eighths of L."""
    if length <= 16:
        return list(range(1, length + 1))
    powers = {1 << k for k in range(length.bit_length()) if 1 << k <= length}
    return sorted(powers | {length * eighth // 8 for eighth in SHARES})


def plot(cells: Cells) -> Figure:
    """Variance by share of masked tokens, short and long responses; shares of V_t by length."""
    figure, axes = plotting.panels(3)
    for ax, models, title in ((axes[0], SHORT, "eight tokens"), (axes[1], LONG, "Markov chains")):
        found = {model: _line(cells, model) for model in models}
        plotting.curves(
            ax, {k: v for k, v in found.items() if v[0]}, title=title, xlabel="share of masked tokens",
            ylabel="variance of the term, nats^2", xscale="log", yscale="log",
        )  # fmt: skip
    chains = [c for c in cells if c["row"] == "share_time" and c["column"]["model"].startswith("markov")]
    chains.sort(key=lambda c: c["column"]["L"])
    share = lines(chains, lambda column: "markov", "L")
    plotting.curves(
        axes[2],
        share,
        title="share of the variance between timesteps",
        xlabel="tokens of the response",
        ylabel="share",
        yscale="linear",
    )
    return figure


def _line(cells: Cells, model: str) -> plotting.Line:
    """Against the share of masked tokens, without variances of exactly 0 (all masked), which a log axis cannot show."""
    counts = [c["column"]["l"] for c in cells if c["column"].get("model") == model and "l" in c["column"]]
    part = [c for c in cells if c["row"] == "var_term" and c["column"]["model"] == model]
    part = [c for c in part if c["value"] is None or c["value"] > 0]
    shares = [c["column"]["l"] / max(counts) for c in part]
    return shares, [c["value"] for c in part], [c["stderr"] for c in part]


exhibit(
    Exhibit(
        name="profile",
        title="Mean and variance of one mask's term by the number of masked tokens",
        paper_ref="2505.19223v2, Lemma 5",
        compute=compute,
        plot=plot,
        cases=partial(toys, labels=(*SHORT, *LONG)),
    )
)
