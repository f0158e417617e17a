"""The progress bar of a run."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SHOWN = ("loss", "score", "accuracy", "grad_norm")


class Bar(TrainerCallback):
    """Steps, and the last numbers, on standard error."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        self._bar = tqdm(
            desc="training", total=state.max_steps, initial=state.global_step, file=sys.stderr,
            disable=None if state.is_world_process_zero else True,
        )  # fmt: skip

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        self._bar.update()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        logs: dict[str, float] = more.get("logs") or {}
        self._bar.set_postfix({name: f"{logs[name]:.3g}" for name in SHOWN if name in logs}, refresh=False)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        self._bar.close()
