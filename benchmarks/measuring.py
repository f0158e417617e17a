"""How the benchmarks measure: interleaved rounds, medians of ratios, peak memory of a fresh process, kept results.

A machine that others use drifts. So whatever is compared is run in turn within one process, and what is reported is
the median over rounds of the ratio within a round; seconds alone are given for the record, beside the machine.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results")
MB = 1e6

Row = Mapping[str, Any]
"""One line of a table: column to number, text or None."""


def machine() -> dict[str, Any]:
    """What the numbers depend on: platform, processor, memory, versions, threads, GPU (None without one)."""
    return {
        "platform": platform.platform(),
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call, the GPU's work included."""
    gc.collect()  # so that no function pays for another's garbage
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every function, round after round, so that the machine's drifts affect all functions equally.

    One warm-up each comes first. Every other round runs backwards, so that no function always follows the same one.
    """
    for function in functions.values():
        function()
    gc.collect()
    gc.freeze()  # what the libraries hold need not be searched for garbage before every call
    times: dict[str, list[float]] = {name: [] for name in functions}
    for k in range(rounds):
        for name in list(functions)[:: -1 if k % 2 else 1]:
            times[name].append(seconds(functions[name]))
    gc.unfreeze()
    return times


def ratio(times: Mapping[str, Sequence[float]], a: str, b: str) -> dict[str, float]:
    """Time of ``a`` over time of ``b``: the median over rounds, its quartiles, and the number of rounds."""
    quotients = np.array(times[a]) / np.array(times[b])
    low, middle, high = np.quantile(quotients, [0.25, 0.5, 0.75])
    return {"median": float(middle), "q1": float(low), "q3": float(high), "rounds": len(quotients)}


def peak_memory(make: Callable[..., Callable[[], object]], *arguments: Any) -> dict[str, float]:
    """Peak resident memory of some work in a fresh process, in MB of 10^6 bytes.

    Parameters
    ----------
    make : function at the top level of a script
        Prepares (imports, models) and returns the work; the baseline is the peak up to there.
    arguments
        Of ``make``; they pass through JSON.

    Returns
    -------
    dict
        "baseline_mb", "peak_mb" (baseline included), "seconds", and where there is a GPU "gpu_baseline_mb",
        "gpu_peak_mb".
    """
    script = Path(inspect.getsourcefile(make) or "")
    call = (f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(script.parent)]!r}; import measuring; "
            f"measuring._child({script.stem!r}, {make.__name__!r}, {json.dumps(arguments)!r})")  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    run = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False, env=environment)
    if run.returncode:
        raise RuntimeError(f"{script.name}: {make.__name__}{arguments} failed:\n{run.stderr}")
    return json.loads(run.stdout.splitlines()[-1])


def keep(name: str, sections: Mapping[str, Sequence[Row]], folder: Path | None = None) -> Path:
    """Write ``results/NAME.json``, the machine beside the sections, and print one table per section.

    Parameters
    ----------
    sections : title to rows
        Columns of a table are the keys of its rows, in order of appearance.
    folder : path, optional
        Instead of `RESULTS`.
    """
    path = (folder or RESULTS) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine(), "sections": {title: list(rows) for title, rows in sections.items()}}
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    console = Console(stderr=True, width=None if sys.stderr.isatty() else 140)
    for title, rows in sections.items():
        console.print(_table(title, rows))
    console.print(f"{path}, on {document['machine']['cpu']}, {document['machine']['threads']} thread(s)")
    return path


def run(name: str, about: str | None, measure: Callable[[bool], Mapping[str, Sequence[Row]]]) -> None:
    """A script's entry point: ``--quick`` and ``--out``, then measure and keep."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="run the smallest sizes only, to check that the script works"
    )
    parser.add_argument("--out", type=Path, help="folder for the results  [default: benchmarks/results]")
    options = parser.parse_args()
    keep(name, measure(options.quick), options.out)


def _table(title: str, rows: Sequence[Row]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for column in columns:
        number = any(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    return table


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, float) and 1e4 <= abs(value) < 1e10):
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _child(module: str, function: str, arguments: str) -> None:
    """The other side of `peak_memory`."""
    work = getattr(importlib.import_module(module), function)(*json.loads(arguments))
    found = {"baseline_mb": _peak(), **_gpu_peak("gpu_baseline_mb")}
    found["seconds"] = seconds(work)
    print(json.dumps({**found, "peak_mb": _peak(), **_gpu_peak("gpu_peak_mb")}))


def _gpu_peak(name: str) -> dict[str, float]:
    """Most memory that torch has held on the GPU so far, in MB; nothing without one."""
    return {name: torch.cuda.max_memory_allocated() / MB} if torch.cuda.is_available() else {}


def _peak() -> float:
    """Most resident memory of this process so far, in MB.

    Linux carries ru_maxrss of a parent over fork and exec, so a small child of a large process would look large; VmHWM
    begins anew.
    """
    high = _field("/proc/self/status", "VmHWM")
    if high is not None:
        return int(high.split()[0]) * 1024 / MB
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MB


def _field(path: str, name: str) -> str | None:
    """First value of a "name : value" line of a file of Linux's; None where there is no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
