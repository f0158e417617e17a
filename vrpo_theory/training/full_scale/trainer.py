"""The preference objective on the Trainer of transformers.

The Trainer keeps what it does for every model. What is ours is a step's gradient, in two passes and one
synchronisation; what is said of a step; and checkpoints that are whole or do not count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainingArguments

from vrpo_theory.batching import WeightedTerms
from vrpo_theory.checkpoints import lora
from vrpo_theory.checkpoints.wrapped import Wrapped
from vrpo_theory.errors import InputError
from vrpo_theory.randomness import HELD_OUT
from vrpo_theory.training.full_scale import statistics, weights
from vrpo_theory.training.full_scale.bar import Bar
from vrpo_theory.training.full_scale.log import Log
from vrpo_theory.training.full_scale.stream import PairStream
from vrpo_theory.training.full_scale.through import Through
from vrpo_theory.training.objective import Numbered, PairObjective, ScoredPair
from vrpo_theory.types import Predictor, PreferencePair


@dataclass(frozen=True)
class TrainingTask:
    """What is trained, against what, on what.

    Parameters
    ----------
    policy : Wrapped
        Its parameters that require gradients are trained.
    reference : Model
        Frozen; `vrpo_theory.checkpoints.lora.base_of` the policy where an adapter is trained.
    objective : PairObjective
    stream : PairStream
    held_out : list of PreferencePair
        Evaluated now and then, always on the same masks.
    noise_every : int
        Steps between measurements of the masks' share in the gradient, each of one more pass backward; 0: never.
    """

    policy: Wrapped
    reference: Predictor
    objective: PairObjective
    stream: PairStream
    held_out: Sequence[PreferencePair] = ()
    noise_every: int = 0


class VrpoTrainer(Trainer):
    """A Trainer of a `TrainingTask`.

    Parameters
    ----------
    task : TrainingTask
    args : TrainingArguments
        Of sequential sampling: the order is the stream's. Every step is logged.
    log : Log, optional

    Raises
    ------
    InputError
        If the arguments ask for sharded parameters (FSDP, DeepSpeed), which the two passes are not ready for.
    """

    def __init__(self, task: TrainingTask, args: TrainingArguments, log: Log | None = None) -> None:
        if args.fsdp or args.deepspeed:
            raise InputError(
                "fsdp and deepspeed are not supported (an adapter's base, held-out pairs and mask noise are evaluated "
                "outside the wrapped model, where sharded weights are not gathered): train an adapter, copied by DDP"
            )
        self.task, self._log, self._sums, self._since = task, log, dict[str, float](), time.perf_counter()
        super().__init__(
            model=task.policy,
            args=args,
            data_collator=list,  # type: ignore[arg-type]
            train_dataset=task.stream,
            eval_dataset=list(task.held_out) or None,
            callbacks=[Bar()],
        )
        self.remove_callback(PrinterCallback)
        if isinstance(task.reference, nn.Module):
            task.reference.to(args.device)

    def training_step(  # type: ignore[override]
        self, model: nn.Module, inputs: list[Numbered], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One micro-step's gradient in ``.grad``; returns its share of the loss."""
        model.train()
        share = 1 / self.current_gradient_accumulation_steps
        policy = self.task.policy if model is self.task.policy else Through(model, self.task.policy)
        try:
            with self.accelerator.autocast():
                scored = self.task.objective.score(policy, self.task.reference, inputs)
        except FloatingPointError as error:
            raise FloatingPointError(f"step {self.state.global_step}: {error}") from error
        terms = self.task.objective.batch_terms(scored) * share
        found = statistics.sums(scored, terms) | {"noise": self._mask_noise(scored) * share**2}
        self._sums = {name: value + self._sums.get(name, 0.0) for name, value in found.items()}
        parts = list(terms.batches(self.task.objective.batch_tokens, policy))
        for left, part in zip(reversed(range(len(parts))), parts, strict=True):
            with self._synchronised(model, last=left == 0):
                with self.accelerator.autocast():
                    value = part.value(policy)
                self.accelerator.backward(value)
        return torch.tensor(found["loss"] / found["pairs"] * share, device=self.args.device)

    def _synchronised(self, model: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Gradients stay with their process until the last part of a step."""
        return nullcontext() if last else self.accelerator.no_sync(model)

    def _mask_noise(self, scored: Sequence[ScoredPair]) -> float:
        """Variance that masks give the gradient of these pairs' mean loss, if it is this step's turn; else NaN."""
        every = self.task.noise_every
        if not every or self.state.global_step % every:
            return math.nan
        found = [self.task.objective.noise_terms(one) for one in scored]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return math.nan
        terms = WeightedTerms([], [])
        for one, _ in known:
            terms += one * (1 / len(known))
        return self._square_of_gradient(terms) * known[0][1]

    def _square_of_gradient(self, terms: WeightedTerms) -> float:
        """Squared length of the gradient of a sum of terms, in this process; what is in ``.grad`` stays."""
        parameters = [p for p in self.task.policy.parameters() if p.requires_grad]
        kept = [p.grad for p in parameters]
        for p in parameters:
            p.grad = None
        terms.backward(self.task.policy, self.task.objective.batch_tokens)
        square = sum(float((p.grad.double() ** 2).sum()) for p in parameters if p.grad is not None)
        for p, grad in zip(parameters, kept, strict=True):
            p.grad = grad
        return square

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]
        if self.accelerator.scaler is None and not math.isfinite(float(norm)):
            named = self.task.policy.named_parameters()
            odd = next((n for n, p in named if p.grad is not None and not p.grad.isfinite().all()), "all")
            raise FloatingPointError(
                f"step {self.state.global_step}: the gradient of {odd} is not finite: lower the learning rate or check "
                "the data"
            )
        return norm

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss, reward accuracy and margin on the held-out pairs, which the processes share."""
        mine = self.task.held_out[self.args.process_index :: self.args.world_size]
        self.task.policy.eval()
        with self.accelerator.autocast():
            scored = self.task.objective.score(
                self.task.policy, self.task.reference, [(HELD_OUT, pair) for pair in mine]
            )
        found = statistics.means(self._added_up(statistics.sums(scored)), self.task.objective)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items() if value is not None}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what is said of a step, hand it to the trackers, and write it down."""
        row: dict[str, float | None] = {**logs}
        if "grad_norm" in logs:
            row |= self._of_step(logs["grad_norm"])
        super().log({name: value for name, value in row.items() if value is not None}, start_time)
        if self._log is not None and self.state.is_world_process_zero and "train_runtime" not in logs:
            passed = self.state.global_step * self.get_total_train_batch_size(self.args)
            self._log.write({"step": self.state.global_step, "epoch": passed / len(self.task.stream.pairs), **row})

    def _of_step(self, norm: float) -> dict[str, float | None]:
        """The numbers of the step that has just ended."""
        found, processes = self._added_up(self._sums), self.args.world_size
        seconds, self._since, self._sums = time.perf_counter() - self._since, time.perf_counter(), {}
        noise = found["noise"] / processes**2
        return statistics.means(found, self.task.objective) | {
            "mask_noise_share": noise / norm**2 if math.isfinite(noise) and norm else None,
            "passes": found["passes"],
            "tokens_per_second": found["tokens"] / seconds,
        }

    def _added_up(self, found: dict[str, float]) -> dict[str, float]:
        """Sums over processes."""
        mine = torch.tensor([found[name] for name in statistics.NAMES], dtype=torch.float64, device=self.args.device)
        return dict(zip(statistics.NAMES, self.accelerator.reduce(mine, "sum").tolist(), strict=True))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            weights.seal(Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}")

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        weights.save(self.task.policy, Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        module = self.task.policy.module
        if lora.adapted(module):
            lora.restore(module, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, module)
