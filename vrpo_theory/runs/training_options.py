"""What a user can say of a training run, and what follows from it before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.batching import BATCH_TOKENS
from vrpo_theory.errors import InputError, one_line
from vrpo_theory.losses import LOSSES
from vrpo_theory.preference import BETA
from vrpo_theory.runs import ranks
from vrpo_theory.schemes import default_scheme, read_scheme

if TYPE_CHECKING:
    from vrpo_theory.training.objective import PairObjective

RATE, ADAPTER_RATE, WARMUP = 5e-7, 1e-5, 15
"""Learning rates: of all weights, the paper's (2505.19223v2, D.3), and of an adapter, which moves less at equal rates.
The paper's steps of warm-up."""
UNTOLD = default_scheme(4, groups=2)
"""Where no scheme is given: this package's default at VRPO's eight passes. Two groups tell the score's variance, and so
what it biases the loss by; one group of eight has less of it."""
FREE = ("out", "eval_every", "save_every", "noise_every", "trainer")
"""Options that move no weight: a resumed run may change them."""


@dataclass(frozen=True)
class TrainingOptions:
    """Options of ``vrpo train``; the defaults are the paper's where it says one (2505.19223v2, D.3).

    Parameters
    ----------
    out : path
        Folder of the trained weights, checkpoints and log.
    adapter_rank : int, optional
        Train a new LoRA adapter of this rank, not the weights.
    scheme : str, optional
        As `vrpo_theory.schemes.read_scheme` takes it; None: `UNTOLD`.
    loss : str
        A member of `vrpo_theory.LOSSES`, as a call.
    estimator, beta, anchor, seed, batch_tokens
        As in `vrpo_theory.training.PairObjective`; the seed is that of the order of pairs and of a new adapter too.
    batch : int
        Pairs per step, over all processes.
    epochs, steps
        How long: passes over the pairs, or a number of steps in their place.
    learning_rate : float, optional
        Highest rate; None: `RATE`, or `ADAPTER_RATE` for an adapter.
    warmup : int, optional
        Steps until the highest rate; None: the paper's 15, or a tenth of all steps if that is less.
    weight_decay, max_grad_norm
        AdamW's decay, longest gradient.
    mixed_precision : {"no", "bf16", "fp16"}
    gradient_checkpointing : bool
    precompute_reference : bool
        Evaluate the reference first, on all masks to come, and train without it in memory.
    held_out : float
        Share of prompts that are not trained on.
    eval_every, save_every, noise_every : int
        Steps between evaluations, checkpoints, and measurements of the masks' share in the gradient; 0: never.
    trainer : mapping
        Further arguments of `transformers.TrainingArguments`, such as report_to.
    """

    out: Path = Path("results/train")
    adapter_rank: int | None = None
    scheme: str | None = None
    loss: str = "dpo"
    estimator: str = "plug-in"
    beta: float = BETA
    anchor: float = 0.05
    seed: int = 0
    batch_tokens: int = BATCH_TOKENS
    batch: int = 64
    epochs: float = 1.0
    steps: int | None = None
    learning_rate: float | None = None
    warmup: int | None = None
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    mixed_precision: str = "no"
    gradient_checkpointing: bool = False
    precompute_reference: bool = False
    held_out: float = 0.02
    eval_every: int = 100
    save_every: int = 100
    noise_every: int = 50
    trainer: Mapping[str, Any] = field(default_factory=dict)

    def objective(self) -> PairObjective:
        """The objective; InputError for a scheme, loss or estimator that there is not, or that do not go together."""
        from vrpo_theory.training.objective import PairObjective

        try:
            return PairObjective(
                scheme=UNTOLD if self.scheme is None else read_scheme(self.scheme),
                loss=LOSSES.build(self.loss),
                estimator=self.estimator,
                beta=self.beta,
                anchor=self.anchor,
                seed=self.seed,
                batch_tokens=self.batch_tokens,
            )
        except ValueError as error:
            raise InputError(one_line(error)) from None

    def steps_over(self, pairs: int) -> int:
        """Steps of a run over this many pairs."""
        return self.steps or max(1, math.ceil(self.epochs * pairs / self.batch))

    @property
    def pairs_per_process(self) -> int:
        """Pairs of a micro-step in one process; InputError if the batch cannot be shared out evenly."""
        parts = ranks.ranks() * int(self.trainer.get("gradient_accumulation_steps", 1))
        if self.batch % parts:
            raise InputError(
                f"batch={self.batch} cannot be shared by {parts} processes x accumulation steps: change it"
            )
        return self.batch // parts

    def own_numbers(self, steps: int) -> list[int]:
        """Pairs of the stream that the Trainer gives to this process: micro-steps go round the processes."""
        size = self.pairs_per_process
        return [n for n in range(steps * self.batch) if n // size % ranks.ranks() == ranks.rank()]

    def weighing(self) -> dict[str, Any]:
        """All that moves a weight, as JSON."""
        told = {name: value for name, value in asdict(self).items() if name not in FREE}
        return told | {"scheme": self.objective().scheme.text, "loss": self.objective().loss.spec}

    def arguments(self, pairs: int, *, cpu: bool, evaluates: bool, adapted: bool) -> dict[str, Any]:
        """Of `transformers.TrainingArguments`; a user's own come last.

        Parameters
        ----------
        pairs : int
            That are trained on.
        evaluates : bool
            Whether there are held-out pairs.
        """
        every, steps = self.eval_every if evaluates else 0, self.steps_over(pairs)
        return {
            "output_dir": str(self.out),
            "max_steps": steps,
            "per_device_train_batch_size": self.pairs_per_process,
            "learning_rate": self.learning_rate or (ADAPTER_RATE if adapted else RATE),
            "lr_scheduler_type": "cosine",
            "warmup_steps": min(WARMUP, steps // 10) if self.warmup is None else self.warmup,
            "weight_decay": self.weight_decay,
            "adam_beta2": 0.95,
            "max_grad_norm": self.max_grad_norm,
            "seed": self.seed % 2**32,
            "bf16": self.mixed_precision == "bf16",
            "fp16": self.mixed_precision == "fp16",
            "use_cpu": cpu,
            "eval_strategy": "steps" if every else "no",
            "eval_steps": every or None,
            "save_strategy": "steps",
            "save_steps": self.save_every or steps,
            "save_total_limit": 2,
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "train_sampling_strategy": "sequential",
            "ddp_find_unused_parameters": False,
            "ddp_broadcast_buffers": False,
            "dataloader_pin_memory": False,
            **self.trainer,
        }


def require_libraries(*, adapter: bool) -> None:
    """InputError if a library that training needs is not installed."""
    wanted = {"accelerate": "training", **({"peft": "adapters"} if adapter else {})}
    for name, extra in wanted.items():
        if find_spec(name) is None:
            raise InputError(f"training needs the library {name}: pip install 'vrpo-theory[{extra}]'")
