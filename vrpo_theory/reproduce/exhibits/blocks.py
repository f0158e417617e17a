"""Block diffusion: the variance of the score by the length of blocks, and where no sampling is needed at all.

Given the clean text before it a block is independent of the others, and one pass carries a mask of every block. So a
response of any length has an exact score after 2^b - 1 passes; with fewer, its variance is the sum of its blocks'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vrpo_theory import plotting
from vrpo_theory.couplings import Coupling
from vrpo_theory.designs.power_strata import PowerStrata
from vrpo_theory.models import MODELS
from vrpo_theory.reproduce.base import Cases, Cell, Cells, Context, Exhibit, exhibit
from vrpo_theory.reproduce.series import lines
from vrpo_theory.reproduce.summary import over_pairs
from vrpo_theory.reproduce.toys import SEEDS
from vrpo_theory.schemes import Scheme
from vrpo_theory.types import SIDES, Budget, Case, Estimate, Profile, Side

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH, PASSES = 64, 8
BLOCKS = (1, 2, 4, 8, 16, 32, 64)
SCHEMES = {
    "VRPO": Scheme(budget=Budget(PASSES)),
    "one timestep for all blocks": Scheme(budget=Budget(PASSES), coupling=Coupling(blocks_shared=True)),
    "power strata": Scheme(PowerStrata(), budget=Budget(PASSES)),
}
"""All with masks shared by policy and reference, and plain weights."""


def cases(context: Context) -> Cases:
    """Markov pairs of 64 tokens under models of every block length."""
    seeds = SEEDS[: context.limit]
    return {f"blocks of {b}": [MODELS["block_markov"].case(s, LENGTH, b) for s in seeds] for b in BLOCKS}


def compute(context: Context) -> list[Cell]:
    """Exact, from profiles by the gap recursion: means over pairs."""
    return [cell for pairs in context.cases.values() for cell in _cells(pairs, context)]


def _cells(pairs: Sequence[Case], context: Context) -> Iterator[Cell]:
    from vrpo_theory import exact

    length = pairs[0].block_length or LENGTH
    found = [_profiles(case) for case in context.track(pairs, f"blocks of {length}")]
    for name, scheme in SCHEMES.items():
        values = [Estimate(context.beta**2 * exact.margin_variance(profiles, scheme)) for profiles in found]
        yield Cell(
            "var_score", {"b": length, "scheme": name}, **over_pairs(values, context.seed), n=PASSES, unit="nats^2"
        )
    yield Cell("passes_exact", {"b": length}, float(2**length - 1), unit="passes")


def _profiles(case: Case) -> dict[Side, list[Profile]]:
    from vrpo_theory import exact

    return {side: [exact.gap_profile(b, case.policy, case.reference) for b in case.parts(side)] for side in SIDES}


def plot(cells: Cells) -> Figure:
    """Variance at 8 passes against block length; dotted where as many passes, or fewer, would be exact."""
    figure, axes = plotting.panels(2)
    variances = [c for c in cells if c["row"] == "var_score"]
    plotting.curves(
        axes[0], lines(variances, lambda column: str(column["scheme"]), "b"), title=f"{PASSES} passes",
        xlabel="block length b", ylabel="variance of the score, nats^2", xscale="log", yscale="log",
    )  # fmt: skip
    needed = [c for c in cells if c["row"] == "passes_exact"]
    plotting.curves(
        axes[1], lines(needed, lambda column: "2^b - 1", "b"), title="passes for an exact score",
        xlabel="block length b", ylabel="forward passes", xscale="log", yscale="log",
    )  # fmt: skip
    axes[1].axhline(PASSES, linestyle=":", color="0.5")
    for ax in axes:
        plotting.doublings(ax)
    return figure


exhibit(
    Exhibit(
        name="blocks",
        title="Variance of the score by the length of blocks, and passes for an exact one",
        paper_ref="beyond 2505.19223v2: block diffusion (arXiv 2503.09573)",
        compute=compute,
        plot=plot,
        cases=cases,
    )
)
