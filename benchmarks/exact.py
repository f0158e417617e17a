"""The exact engines: enumeration of all masks and the gap recursion, against what limits them.

    python benchmarks/exact.py [--quick]

writes ``benchmarks/results/exact.json``:

- enumeration at L = 12 (LLaDA of width 64, 2 layers, random weights, policy and reference) against bare forward passes
  of the same batches, which is the limit, and against one forward pass per mask (a subset, extrapolated);
- its growth from L = 8 to 18, on a model so small that bookkeeping would show;
- the gap recursion from L = 64 to 1024, table of gaps included, with its exponent;
- memory of both in fresh processes, against their limits: 1.5 GB and 60 s at L = 16, 2 GB and 20 s at L = 1024;
- the Monte Carlo draws that a given accuracy would take; enumeration has no sampling error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import _accuracy
import numpy as np
import torch
from _forwards import Forwards
from measuring import Row, interleaved, peak_memory, ratio, run
from numpy.typing import NDArray

from vrpo_theory.exact import MAX_LENGTH, enumerate_masks, gap_profile
from vrpo_theory.exact.enumeration import all_masks
from vrpo_theory.models import MODELS
from vrpo_theory.models.llada import LLaDA, LLaDAConfig
from vrpo_theory.training.initialization import initial
from vrpo_theory.types import Response

VOCABULARY, PROMPT = 259, 5
SINGLES = 128
"""Masks that get a forward pass of their own; as many as make a stable time."""


def model(seed: int, width: int = 64, layers: int = 2) -> LLaDA:
    """A LLaDA with random weights, float32."""
    config = LLaDAConfig(
        d_model=width, n_heads=4, n_layers=layers, mlp_hidden_size=5 * width // 2, vocab_size=VOCABULARY,
        max_sequence_length=128, mask_token_id=VOCABULARY - 1, eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    return initial(config, seed)


def response(length: int, prompt: int = PROMPT) -> Response:
    """A uniform one, over every token but the mask."""
    ids = np.random.default_rng(length).integers(VOCABULARY - 1, size=prompt + length).tolist()
    return Response(ids[:prompt], ids[prompt:])


def enumeration(length: int, rounds: int, setups: int) -> Iterator[Row]:
    """Throughput of the engine against bare forward passes and against one pass per mask."""
    masks = all_masks(length)[1:]
    some = masks[:: max(1, len(masks) // SINGLES)]
    # Where a set-up's tensors happen to lie in memory moves the ratio by more than its rounds do: pool several.
    runs = [_enumeration(response(length), masks, some, rounds) for _ in range(setups)]
    times = {name: [t for run in runs for t in run[name]] for name in runs[0]}
    about = {"L": length, "passes_per_s": 2 * len(masks) / float(np.median(times["engine"]))}
    yield {"throughput": "over bare forward passes", **ratio(times, "bare", "engine"), "limit": ">= 0.9", **about}
    times["single"] = [t * len(masks) / len(some) for t in times["single"]]
    note = f"{len(some)} of {len(masks)} masks, extrapolated"
    yield {"throughput": "over one pass a mask", **ratio(times, "single", "engine"), **about, "note": note}


def _enumeration(
    answer: Response, masks: NDArray[np.bool_], some: NDArray[np.bool_], rounds: int
) -> dict[str, list[float]]:
    models = [model(0), model(1)]
    work = {
        "engine": lambda: enumerate_masks([answer], models),
        "bare": Forwards([(answer, masks)], models),
        "single": Forwards([(answer, some)], models, batch_tokens=1),
    }
    return interleaved(work, rounds)


def enumeration_growth(lengths: Sequence[int], rounds: int) -> Iterator[Row]:
    """Seconds by L, and microseconds per mask, which should grow only with the sequence length."""
    models = [model(seed, width=16, layers=1) for seed in (0, 1)]

    def run(length: int) -> Callable[[], object]:
        return lambda: enumerate_masks([response(length, prompt=0)], models)

    times = interleaved({str(length): run(length) for length in lengths}, rounds)
    for length in lengths:
        passes, spent = 2 * (2**length - 1), float(np.median(times[str(length)]))
        yield {"L": length, "passes": passes, "seconds": spent, "us_per_pass": 1e6 * spent / passes}


def gaps(lengths: Sequence[int], rounds: int) -> Iterator[Row]:
    """Seconds by L, and the exponent since the last L."""
    times = interleaved({str(length): gap_work(length) for length in lengths}, rounds)
    spent = [float(np.median(times[str(length)])) for length in lengths]
    for k, length in enumerate(lengths):
        steps = np.log(lengths[k] / lengths[k - 1]) if k else None
        yield {
            "L": length, "seconds": spent[k], "limit": "< 20 s" if length == 1024 else None,
            "exponent": None if steps is None else float(np.log(spent[k] / spent[k - 1]) / steps),
        }  # fmt: skip


def enumeration_work(length: int) -> Callable[[], object]:
    """Both models of width 64, as `enumeration` has them."""
    models, answer = [model(0), model(1)], response(length)
    return lambda: enumerate_masks([answer], models)


def gap_work(length: int) -> Callable[[], object]:
    """The profile of the first chain's chosen response."""
    case = MODELS["markov"].case(0, length)
    return lambda: gap_profile(case.pair.chosen, case.policy, case.reference)


def memory(enumerated: int, recursed: int) -> Iterator[Row]:
    """Peaks of fresh processes; the baseline is Python, its libraries and the models."""
    for name, make, length, limit in (
        ("enumeration", enumeration_work, enumerated, "< 60 s, < 1500 MB"),
        ("gap recursion", gap_work, recursed, "< 20 s, < 2000 MB"),
    ):
        yield {"engine": name, "L": length, **peak_memory(make, length), "limit": limit}


def measure(quick: bool) -> Mapping[str, Sequence[Row]]:
    """Every section; quick ones show that the script runs, and their numbers mean little."""
    torch.set_num_threads(1)  # the toys are slower on two, and others may use the second
    if quick:
        sections = (enumeration(4, 1, 1), enumeration_growth((3, 4), 1), gaps((8, 16), 1), memory(4, 16))
        sampled = _accuracy.rows(8, 1)
    else:
        growing, long = range(8, MAX_LENGTH - 1, 2), (64, 128, 256, 512, 1024)
        sections = (enumeration(12, 9, 5), enumeration_growth(growing, 1), gaps(long, 5), memory(16, 1024))
        sampled = _accuracy.rows(12, 8)
    titles = ("enumeration", "growth of enumeration", "gap recursion", "memory", "Monte Carlo for the same accuracy")
    return {title: list(rows) for title, rows in zip(titles, (*sections, sampled), strict=True)}


if __name__ == "__main__":
    run("exact", __doc__, measure)
