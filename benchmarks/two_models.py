"""Two different checkpoints of LLaDA-8B's shape on one small machine: ``python benchmarks/two_models.py``.

Makes two folders of random bfloat16 weights under official names, in shards of 3 GB (32 GB on the disk, removed at the
end), and runs ``vrpo score`` and ``table3 --gradient none`` on one short pair: with each folder in both roles, and with
one in each. Asked: the two together take at most 1.3 times the mean of the two alone, which evaluate as many masks, and
a process owns at most 3 GB, the weights being mapped from their files. ``--layers`` makes smaller ones; they are named
so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from measuring import MB, RESULTS, _field, keep
from safetensors.torch import save_file

from vrpo_theory.models.llada import LLaDAConfig, LLaDAModelLM

SLOWER, OWN_MB, SHARD = 1.3, 3000, 3e9
PAIR = {"prompt_ids": list(range(20, 44)), "chosen_ids": list(range(50, 74)), "rejected_ids": list(range(90, 114))}
WORK = {
    "score": ["vrpo_theory.cli", "score", "--method", "mc", "--n-t", "2"],
    "table3": ["vrpo_theory.reproduce", "table3", "--gradient", "none", "--pool", "3,2"],
}
Row = dict[str, Any]


def checkpoint(folder: Path, config: LLaDAConfig, seed: int) -> Path:
    """Write a checkpoint shard by shard: never more than one is in memory."""
    folder.mkdir(parents=True)
    config.architectures, config.dtype = ["LLaDAModelLM"], "bfloat16"
    config.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in LLaDAModelLM(config).state_dict().items()}
    generator, index, size = torch.Generator().manual_seed(seed), {}, 0
    for number, names in enumerate(_shards(shapes)):
        file = f"model-{number + 1:05d}.safetensors"
        tensors = {name: _values(shapes[name], config.init_std, generator) for name in names}
        save_file(tensors, folder / file, {"format": "pt"})
        index |= dict.fromkeys(names, file)
        size += sum(2 * tensor.numel() for tensor in tensors.values())
    table = {"metadata": {"total_size": size}, "weight_map": index}
    (folder / "model.safetensors.index.json").write_text(json.dumps(table))
    return folder


def _values(shape: torch.Size, spread: float, generator: torch.Generator) -> torch.Tensor:
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0, spread, generator=generator)


def _shards(shapes: dict[str, torch.Size]) -> Iterator[list[str]]:
    names: list[str] = []
    for name in shapes:
        if sum(2 * shapes[n].numel() for n in [*names, name]) > SHARD and names:
            yield names
            names = []
        names.append(name)
    yield names


def timed(policy: Path, reference: Path, pairs: Path, words: list[str], out: Path) -> Row:
    """One run in a fresh process: its wall time, and the most memory that it owned, files that it maps apart."""
    command = [sys.executable, "-m", *words, "--policy", str(policy), "--reference", str(reference)]
    command += ["--pairs", str(pairs), "--dtype", "bfloat16", *(["--out", str(out)] if "table3" in words else [])]
    start, most = time.perf_counter(), 0
    with (out / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        while process.poll() is None:
            own = _field(f"/proc/{process.pid}/status", "RssAnon")
            most = max(most, int(own.split()[0]) if own else 0)
            time.sleep(0.1)
    if process.returncode:
        raise RuntimeError((out / "log").read_text())
    return {"seconds": time.perf_counter() - start, "own_mb": most * 1024 / MB}


def measure(folder: Path, layers: int | None, work: list[str]) -> dict[str, list[Row]]:
    """Sections of the results."""
    size = {} if layers is None else {"n_layers": layers}
    (folder / "pairs.jsonl").write_text(json.dumps(PAIR) + "\n")
    made = {name: checkpoint(folder / name, LLaDAConfig(**size), seed) for seed, name in enumerate(("one", "other"))}
    rows, asked = [], []
    for name in work:
        found = {}
        for policy, reference in (("one", "one"), ("other", "other"), ("one", "other")):
            row = timed(made[policy], made[reference], folder / "pairs.jsonl", WORK[name], folder)
            found[policy, reference] = row
            rows.append({"work": name, "policy": policy, "reference": reference, **row})
        together = found["one", "other"]
        alone = (found["one", "one"]["seconds"] + found["other", "other"]["seconds"]) / 2
        asked.append(_at_most(f"{name}: time of two over one in both roles", together["seconds"] / alone, SLOWER))
        asked.append(_at_most(f"{name}: MB of own memory", together["own_mb"], OWN_MB))
    gigabytes = sum(f.stat().st_size for f in folder.glob("*/*.safetensors")) / 1e9
    setting = {"layers": LLaDAConfig(**size).n_layers, "gigabytes": gigabytes, "tokens": 48}
    return {"setting": [setting], "runs": rows, "requirements": asked}


def _at_most(what: str, value: float, bar: float) -> Row:
    return {"requirement": what, "measured": value, "bar": f"<= {bar:g}", "holds": "yes" if value <= bar else "no"}


def main(
    place: Annotated[Path | None, typer.Option(help="where the folders are made  [default: the system's]")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="in the place of 32")] = None,
    work: Annotated[str, typer.Option(help="which of score and table3")] = "score,table3",
    out: Annotated[Path, typer.Option(help="folder of the results")] = RESULTS,
) -> None:
    """Make the folders, measure, keep, and remove the folders."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=place) as folder:
        sections = measure(Path(folder), layers, work.split(","))
    keep("two-models" + (f"-{layers}-layers" if layers else ""), sections, out)


if __name__ == "__main__":
    typer.run(main)
