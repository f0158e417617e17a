"""Memory and speed of a training step on transformers' Trainer: ``python benchmarks/training.py``.

Measured, and against what:

- memory of a step at n = 32 masks per response against n = 2, at equal batches: the peak of fresh processes, of all.
- memory of a run with an adapter whose reference is the base under it, against the same run with a second copy of the
  base: what models and steps take above the libraries.
- speed of batches by length against batches of pairs as they come, padded to the longest: tokens of pairs per second,
  in turn in one process, on pairs of mixed length.

Results go to training.json.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from _llada_models import SIZES, random_model
from measuring import interleaved, peak_memory, ratio, run

from vrpo_theory.models.llada import LLaDAConfig

Rows = list[dict[str, Any]]
BUDGETS, MICRO = (2, 32), (2, 4)
GROWTH, COPIES = 1.1, 0.6
"""Bars: memory at n = 32 over n = 2, and of one base over two."""
OPTIONS: dict[str, dict[str, Any]] = {
    "smoke": {"d_model": 16, "n_layers": 2, "n_heads": 2, "mlp_hidden_size": 32, "vocab_size": 64},
    "base": {"d_model": 768, "n_layers": 12, "n_heads": 12, "mlp_hidden_size": 2048, "vocab_size": 8192},
}
CONFIGS = {
    name: LLaDAConfig(mask_token_id=told["vocab_size"] - 1, eos_token_id=None, pad_token_id=None, **told)
    for name, told in OPTIONS.items()
}
"""Of adapted models; "base" has weights enough that its memory goes to them."""


def pairs(vocabulary: int, lengths: list[tuple[int, int]]) -> list[Any]:
    """Pairs of uniform tokens: a prompt and two answers of these lengths."""
    from vrpo_theory import PreferencePair, Response

    rng = np.random.default_rng(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(rng.integers(vocabulary - 1, size=count).tolist())

    prompts = [(ids(prompt), answer) for prompt, answer in lengths]
    return [PreferencePair(*(Response(prompt, ids(answer)) for _ in range(2))) for prompt, answer in prompts]


def trainer(policy: Any, reference: Any, found: list[Any], n: int, batch_tokens: int) -> Any:
    """A run of two steps of all these pairs."""
    from transformers import TrainingArguments

    from vrpo_theory import Budget, PairObjective, Scheme
    from vrpo_theory.training.full_scale.stream import PairStream
    from vrpo_theory.training.full_scale.trainer import TrainingTask, VrpoTrainer

    arguments = TrainingArguments(
        tempfile.mkdtemp(), max_steps=2, per_device_train_batch_size=len(found), use_cpu=True, save_strategy="no",
        report_to="none", remove_unused_columns=False, train_sampling_strategy="sequential", disable_tqdm=True,
    )  # fmt: skip
    objective = PairObjective(scheme=Scheme(budget=Budget(n, 1)), batch_tokens=batch_tokens)
    stream = PairStream(tuple(found), 0, 2 * len(found))
    return VrpoTrainer(TrainingTask(policy, reference, objective, stream), arguments)


def step(n: int, micro: int, quick: bool) -> Callable[[], object]:
    """Two steps of one pair, all weights trained, in batches of ``micro`` sequences."""
    import torch

    size = SIZES["smoke" if quick else "tiny"]
    policy, reference = (random_model(size.config, "cpu", torch.float32, seed) for seed in (0, 1))
    found = pairs(size.config.vocab_size, [(size.prompt, size.answer)])
    return trainer(policy, reference.requires_grad_(False), found, n, micro * size.length).train


def adapted(copies: int, quick: bool) -> Callable[[], object]:
    """Two steps of an adapter against the base under it, or against a second copy."""
    import torch

    from vrpo_theory.checkpoints import lora

    def work(config: LLaDAConfig) -> None:
        policy = random_model(config, "cpu", torch.float32, 0)
        second = random_model(config, "cpu", torch.float32, 0).requires_grad_(False) if copies == 2 else None
        lora.add(policy.module, 8, seed=0)
        found = pairs(policy.vocabulary, [(8, 24)])
        trainer(policy, second or lora.base_of(policy, ""), found, 2, 64).train()

    work(CONFIGS["smoke"])  # what the libraries take
    return lambda: work(CONFIGS["smoke" if quick else "base"])


def memory(quick: bool) -> Rows:
    """Of a step, by masks and batches."""
    cells = [(n, micro) for micro in MICRO for n in BUDGETS]
    return [{"n": n, "micro_batch": micro, **peak_memory(step, n, micro, quick)} for n, micro in cells]


def roles(quick: bool) -> Rows:
    """Of one base, and of two."""
    found = [{"copies": copies, **peak_memory(adapted, copies, quick)} for copies in (1, 2)]
    return [row | {"above_libraries_mb": row["peak_mb"] - row["baseline_mb"]} for row in found]


def as_they_come(terms: Any, batch_tokens: int) -> Iterator[Any]:
    """Batches of one mask of every response after the other, as many as fit, padded to the longest of them."""
    from vrpo_theory.batching import WeightedTerms, answer_columns

    rows, weights, longest = [], [], 0
    for k in range(max(len(mask) for _, mask in terms.requests)):
        for (response, mask), weight in zip(terms.requests, terms.weights, strict=True):
            if not mask[k].any():
                continue
            width = max(longest, answer_columns(response).stop)
            if rows and width * (len(rows) + 1) > batch_tokens:
                yield WeightedTerms(rows, weights)
                rows, weights, width = [], [], answer_columns(response).stop
            rows, weights, longest = [*rows, (response, mask[[k]])], [*weights, weight[[k]]], width
    yield WeightedTerms(rows, weights)


def speed(quick: bool) -> dict[str, Rows]:
    """The second pass of pairs of mixed length, by length and as they come."""
    import torch

    from vrpo_theory import PairObjective

    size = SIZES["smoke" if quick else "tiny"]
    model = random_model(size.config, "cpu", torch.float32, 0)
    lengths = np.exp(np.random.default_rng(1).uniform(np.log(8), np.log(size.length - 4), 4 if quick else 6)).astype(
        int
    )
    objective = PairObjective(batch_tokens=4 * size.length)
    batch = list(enumerate(pairs(size.config.vocab_size, [(4, int(length)) for length in lengths])))
    terms = objective.batch_terms(objective.score(model, model, batch))
    ways = {"by length": terms.batches, "as they come": lambda budget: as_they_come(terms, budget)}

    def second_pass(way: str) -> None:
        model.zero_grad()
        for part in ways[way](objective.batch_tokens):
            part.value(model).backward()

    times = interleaved({way: lambda way=way: second_pass(way) for way in ways}, 2 if quick else 5)
    tokens = sum(len(mask) * (len(r.prompt) + r.length) for r, mask in terms.requests)
    rows = [{"batches": way, "tokens_per_s": tokens / float(np.median(times[way]))} for way in ways]
    return {"speed": rows, "as they come over by length": [ratio(times, "as they come", "by length")]}


def measure(quick: bool) -> dict[str, Rows]:
    """All sections; memory first, while this process holds no model."""
    found: dict[str, Rows] = {"memory of a step": memory(quick), "memory of an adapter's run": roles(quick)}
    found |= speed(quick)
    peaks = {(row["micro_batch"], row["n"]): row["peak_mb"] for row in found["memory of a step"]}
    few, many = BUDGETS
    one, two = (row["above_libraries_mb"] for row in found["memory of an adapter's run"])
    asked = [
        (f"peak of a step at n = {many} over n = {few}, batches of {m}", peaks[m, many] / peaks[m, few], f"<= {GROWTH}")
        for m in MICRO
    ]
    asked += [("memory of one base over two", one / two, f"<= {COPIES}")]
    return found | {"requirements": [{"requirement": w, "measured": x, "bar": bar} for w, x, bar in asked]}


if __name__ == "__main__":
    run("training", __doc__ or "", measure)
