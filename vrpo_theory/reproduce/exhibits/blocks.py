"""Block diffusion: variance and bias of the score by the length of blocks, and where no sampling is needed at all.

Given the clean text before it a block is independent of the others, and one pass carries a mask of every block. So a
response of any length has an exact score after 2^b - 1 passes; with fewer, its variance is the sum of its blocks', and
of their covariances where they share timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.base import Design
from vrpo_theory.designs.clipped import ClippedTime
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.designs.redrawn import Redrawn
from vrpo_theory.models import MODELS
from vrpo_theory.reproduce.base import Cases, Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import over_pairs
from vrpo_theory.reproduce.toys import SEEDS
from vrpo_theory.schemes import VRPO as VRPO_SCHEME
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Case, Estimate, Profile, Side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH, PASSES, TARGET = 64, 8, 0.1
"""Tokens of a response; passes of each estimate; the standard error in nats that sampling is asked for."""
BLOCKS = (1, 2, 4, 8, 16, 32, 64)
FLOOR = 1e-3
NEWLY_UNMASKED, VRPO = "newly unmasked tokens", "VRPO"


def _scheme(design: Design = VRPO_SCHEME.design, blocks_shared: bool | str = False) -> Scheme:
    """Masks shared by policy and reference, plain weights."""
    return Scheme(design, budget=Budget(PASSES), coupling=Coupling(blocks_shared=blocks_shared))


SCHEMES = {
    VRPO: _scheme(),
    "one timestep for all blocks": _scheme(blocks_shared=True),
    "cyclic counts": _scheme(blocks_shared="cyclic"),
    "counts in strata over blocks": _scheme(blocks_shared="stratified"),
    "power strata": _scheme(PowerStrata()),
    "power strata, over blocks too": _scheme(PowerStrata(), "stratified"),
    NEWLY_UNMASKED: _scheme(),
    "t clipped to 0.3-0.8": _scheme(ClippedTime()),
    "empty masks drawn again": _scheme(Redrawn(FLOOR)),
}
"""VRPO has one timestep a block; one for all is BD3-LM's and SDAR's, clipping BD3-LM's, redrawing SDAR's; newly
unmasked tokens are dTRPO's, cyclic counts EBPO's, each read as an estimator of the ELBO."""


def cases(context: Context) -> Cases:
    """Markov pairs of 64 tokens under models of every block length."""
    seeds = SEEDS[: context.limit]
    return {f"blocks of {b}": [MODELS["block_markov"].case(s, LENGTH, b) for s in seeds] for b in BLOCKS}


def compute(context: Context) -> list[Cell]:
    """Exact, from profiles by the gap recursion: means over pairs; and where sampling begins."""
    cells = [cell for pairs in context.cases.values() for cell in _cells(pairs, context)]
    return [*cells, _border(cells)]


def _cells(pairs: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    length, beta = pairs[0].block_length or LENGTH, context.beta
    found = [(_profiles(case), _profiles(case, one_token=True)) for case in context.track(pairs, f"blocks of {length}")]
    for name, scheme in SCHEMES.items():
        used = [pair[name == NEWLY_UNMASKED] for pair in found]
        variances = [Estimate(beta**2 * exact.margin_variance(profiles, scheme)) for profiles in used]
        biases = [Estimate(beta * (exact.margin_mean(p, scheme) - exact.margin_mean(p))) for p in used]
        column = {"b": length, "scheme": name}
        yield Cell("var_score", column, **over_pairs(variances, context.seed), n=PASSES, unit="nats^2")
        yield Cell("bias_score", column, **over_pairs(biases, context.seed), n=PASSES, unit="nats")
        if name == VRPO:
            passes = math.ceil(PASSES * sum(v.value for v in variances) / len(variances) / TARGET**2)
            yield Cell("passes_sampled", {"b": length}, float(max(passes, 1)), unit="passes")
    yield Cell("passes_exact", {"b": length}, float(2**length - 1), unit="passes")


def _profiles(case: Case, one_token: bool = False) -> dict[Side, list[Profile]]:
    from vrpo_theory import exact

    engine = exact.newly_unmasked_gap_profile if one_token else exact.gap_profile
    return {side: [engine(b, case.policy, case.reference) for b in case.parts(side)] for side in SIDES}


def _border(cells: Sequence[Cell]) -> Cell:
    """The longest block whose exact score needs no more passes than sampling it."""
    exactly, sampled = (
        {c.column["b"]: c.value or 0.0 for c in cells if c.row == row} for row in ("passes_exact", "passes_sampled")
    )
    cheap = [b for b in exactly if exactly[b] <= sampled[b]]
    longer = min((b for b in exactly if b > max(cheap)), default=None)
    said = f"exact up to blocks of {max(cheap)}: {exactly[max(cheap)]:g} passes, without any error"
    if longer is not None:
        said += (f"; from {longer} on sampled: {exactly[longer]:.3g} passes would be exact, VRPO has a standard error "
                 f"of {TARGET} nats after {sampled[longer]:g}")  # fmt: skip
    return Cell("longest_exact", {"target": TARGET}, float(max(cheap)), unit="tokens", note=said)


def plot(cells: Cells) -> Figure:
    """Variance and bias at 8 passes against block length; passes for exactness and for sampling, which cross."""
    figure, axes = plotting.panels(3)
    for axis, row, unit in (
        (axes[0], "var_score", "variance of the score, nats^2"),
        (axes[1], "bias_score", "bias of the score, nats"),
    ):
        plotting.curves(
            axis, lines([c for c in cells if c["row"] == row], lambda column: str(column["scheme"]), "b"),
            title=f"{PASSES} passes", xlabel="block length b", ylabel=unit, xscale="log",
            yscale="log" if row == "var_score" else "linear",
        )  # fmt: skip
    needed = [c for c in cells if c["row"].startswith("passes_")]
    by_row = {"passes_exact": "exact: 2^b - 1", "passes_sampled": f"sampled to {TARGET} nats (VRPO)"}
    named = [c | {"column": c["column"] | {"name": by_row[c["row"]]}} for c in map(dict, needed)]
    plotting.curves(
        axes[2], lines(named, lambda column: str(column["name"]), "b"), title="passes", xlabel="block length b",
        ylabel="forward passes", xscale="log", yscale="log",
    )  # fmt: skip
    for cell in cells:
        if cell["row"] == "longest_exact" and cell["value"] is not None:
            axes[2].axvline(cell["value"], linestyle=":", color="0.5")
    for ax in axes:
        plotting.doublings(ax)
    return figure


exhibit(
    Exhibit(
        name="blocks",
        title="Variance and bias of the score by the length of blocks, and passes for an exact one",
        paper_ref="beyond 2505.19223v2: block diffusion (arXiv 2503.09573)",
        compute=compute,
        plot=plot,
        cases=cases,
    )
)
