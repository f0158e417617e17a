"""Speed and memory of LLaDA on random weights: ``python benchmarks/llada.py --size tiny --random-weights``.

Measured, and against what:

- speed: scoring with the output head at masked positions only, half of the response masked on average, against the same
  model with the logits of all positions and their full float32 log-softmax (the naive way), in turn on the same batch,
  beside the ratio of their matrix products (FLOP); and its FLOP rate as a share of what a large square product reaches
  on this device in the same type, the best of all rounds. One thread on a CPU.
- memory: peaks of fresh processes: the output head by chunks against all logits; scoring; the DPO-E gradient in all
  parameters at n = 32 against n = 2 with equal batches. On a GPU, torch's count of its memory (weights included).
- cost: ``table3`` on a few random pairs, pooled protocol, scaled to the paper's 128 pairs; and what the paper's own
  protocol would take, by the number of its passes.

Sizes: tiny (4 layers, d = 256, 8,192 tokens), and 8b (that of LLaDA-8B: 16 GB in bfloat16; gradients recompute
activations). Results go to llada-tiny.json and llada-8b-DEVICE.json.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import typer
from _llada_cost import cost
from _llada_flops import forwards
from _llada_memory import BUDGETS, MICRO, heads, whole
from _llada_models import DTYPES, AllLogits, Setting, requests
from measuring import RESULTS, interleaved, keep, ratio

from vrpo_theory import Case, elbo
from vrpo_theory.batching import BATCH_TOKENS

SPEEDUP, SHARE, GROWTH, TENSORS, SLACK = 1.3, 0.6, 1.1, 3, 16
"""Bars: masked head over all logits; share of the matrix rate on a GPU; gradient's memory; the head's, in tensors
of a chunk's logits in float32 (the logits, the same widened, their log-softmax), and MB beside them."""
SQUARE = {"cpu": 2048, "cuda": 8192}
"""Side of the square product."""
Rows = list[dict[str, Any]]


def speed(setting: Setting, case: Case, rounds: int) -> dict[str, Rows]:
    """Two ways to score one batch, and a square matrix product."""
    size, kind = setting.size, setting.device.split(":")[0]
    batch = requests(case, size.batch)
    positions = {"masked head": int(batch[0][1].sum()), "all logits": size.batch_tokens}
    flop = {way: forwards(size.config, size.length, size.batch, n) for way, n in positions.items()}
    model, naive = case.reference, AllLogits(case.reference.module).eval()
    square = torch.randn(SQUARE[kind], SQUARE[kind], device=setting.device).to(DTYPES[setting.dtype])
    times = interleaved(
        {
            "masked head": lambda: elbo.terms(batch, model, batch_tokens=size.batch_tokens),
            "all logits": lambda: elbo.terms(batch, naive, batch_tokens=size.batch_tokens),
            "square product": lambda: square @ square,
        },
        rounds,
    )
    best = 2 * SQUARE[kind] ** 3 / min(times["square product"])
    rows = [_speed_row(way, size.batch, size.length, flop[way], times[way], best) for way in flop]
    bound = flop["all logits"] / flop["masked head"]
    gain = ratio(times, "all logits", "masked head") | {"flop_bound": bound}
    deviation = max(abs(elbo.terms(batch, model)[0] - elbo.terms(batch, naive)[0]).ravel().tolist())
    return {
        "speed": [*rows, {"way": "square product", "gflop_per_s": best / 1e9, "share": 1.0}],
        "all logits over masked head": [gain | {"largest_difference_nats": deviation}],
    }


def _speed_row(way: str, batch: int, length: int, flop: int, times: list[float], best: float) -> dict[str, Any]:
    seconds = sorted(times)[len(times) // 2]
    rate = flop / seconds
    return {
        "way": way,
        "forwards_per_s": batch / seconds,
        "tokens_per_s": batch * length / seconds,
        "gflop_per_forward": flop / batch / 1e9,
        "gflop_per_s": rate / 1e9,
        "share": rate / best,
    }


def requirements(setting: Setting, found: dict[str, Rows]) -> Rows:
    """What was asked of the measured numbers, and whether they hold."""
    rows: Rows = []
    if setting.name == "tiny" and (gain := found.get("all logits over masked head")):
        rows.append(_at_least("time of all logits over that of the masked head", gain[0]["median"], SPEEDUP))
    if setting.device.startswith("cuda") and "speed" in found:
        rows.append(_at_least("scoring's share of the matrix rate", found["speed"][0]["share"], SHARE))
    if "memory" in found:
        peaks = {(row["micro_batch"], row["what"]): row["peak_mb"] for row in found["memory"]}
        for size in MICRO:
            few, many = (peaks[size, f"gradient, n = {n}"] for n in BUDGETS)
            rows.append(_at_most(f"peak of the gradient at n = 32 over n = 2, batches of {size}", many / few, GROWTH))
    for row in found.get("memory of the head", []):
        if row["what"] != "all logits":
            bar = TENSORS * row["logits_mb"] + SLACK
            rows.append(_at_most(f"MB of the head, batch {row['batch']}, {row['what']}", row["above_baseline_mb"], bar))
    return rows


def _at_least(what: str, value: float, bar: float) -> dict[str, Any]:
    return {"requirement": what, "measured": value, "bar": f">= {bar:g}", "holds": "yes" if value >= bar else "no"}


def _at_most(what: str, value: float, bar: float) -> dict[str, Any]:
    return {"requirement": what, "measured": value, "bar": f"<= {bar:.4g}", "holds": "yes" if value <= bar else "no"}


def measure(setting: Setting, parts: list[str], pairs: int, rounds: int) -> dict[str, Rows]:
    """Sections of the results. Memory comes first, while this process holds no model."""
    found: dict[str, Rows] = {}
    if "memory" in parts:
        found |= {"memory": whole(setting), "memory of the head": heads(setting)}
    if "speed" in parts or "cost" in parts:
        cases = setting.cases(pairs)
        found = {"setting": [_about(setting, cases)], **found}
        found |= speed(setting, cases[0], rounds) if "speed" in parts else {}
        found |= {"table3": cost(cases, setting.dtype, BATCH_TOKENS)} if "cost" in parts else {}
    return found | {"requirements": requirements(setting, found)}


def _about(setting: Setting, cases: list[Case]) -> dict[str, Any]:
    size, weights = setting.size, cases[0].policy.parameters()
    return {
        "size": setting.name,
        "device": setting.device,
        "dtype": setting.dtype,
        "layers": size.config.n_layers,
        "parameters": sum(p.numel() for p in weights),
        "prompt": size.prompt,
        "answer": size.answer,
        "batch": size.batch,
        "models": 1 if cases[0].policy is cases[0].reference else 2,
    }


def main(
    size: Annotated[Literal["tiny", "8b", "smoke"], typer.Option(help="tiny or 8b")] = "tiny",
    random_weights: Annotated[bool, typer.Option("--random-weights", help="the only kind there is so far")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    dtype: Annotated[Literal["float32", "bfloat16"] | None, typer.Option(help="8b: bfloat16")] = None,
    length: Annotated[int | None, typer.Option(min=6, help="tokens of prompt and response; 8b: 1024")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="random pairs that table3 is run on")] = 8,
    out: Annotated[Path, typer.Option(help="folder of the results")] = RESULTS,
    rounds: Annotated[int, typer.Option(min=1, help="of the comparison of speed")] = 15,
    measured: Annotated[str, typer.Option("--measure", help="which parts")] = "speed,memory,cost",
    layers: Annotated[int | None, typer.Option(min=1, hidden=True)] = None,
) -> None:
    """Measure, print, and keep."""
    if not random_weights:
        raise typer.BadParameter("give --random-weights: checkpoints are not read here")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise typer.BadParameter("torch sees no GPU: give --device cpu")
    if device == "cpu":
        torch.set_num_threads(1)
    setting = Setting(size, device, dtype or ("bfloat16" if size == "8b" else "float32"), length, layers)
    keep(setting.label, measure(setting, measured.split(","), pairs, rounds), out)


if __name__ == "__main__":
    typer.run(main)
