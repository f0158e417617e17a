"""The models of a training run: what is trained, and against what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.errors import InputError
from vrpo_theory.runs import inputs
from vrpo_theory.runs.console import say
from vrpo_theory.runs.training_options import TrainingOptions
from vrpo_theory.types import Predictor, PreferencePair

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

HALF = "in half precision small steps are lost: train an adapter, or give --dtype float32 with --mixed-precision bf16"


@dataclass(frozen=True)
class Models:
    """What is trained, and against what.

    Parameters
    ----------
    policy : Wrapped
    reference : Model
    adapted : bool
        Whether it is an adapter that is trained.
    """

    policy: Wrapped
    reference: Predictor
    adapted: bool

    def described(self) -> dict[str, Any]:
        """What tells these models from others."""
        return {"policy": self.policy.fingerprint, "reference": getattr(self.reference, "fingerprint", None)}

    def read(self, sources: inputs.Sources, share: float) -> tuple[list[PreferencePair], list[PreferencePair]]:
        """Pairs to train on and held-out pairs; InputError if nothing is left to train on."""
        from vrpo_theory.training.full_scale.stream import split

        both = replace(sources, reference=sources.reference or sources.policy)
        token = self.policy.mask_token_id
        longest = min(self.policy.max_length, getattr(self.reference, "max_length", self.policy.max_length))
        found = inputs.read(
            both, lambda: inputs.tokenizer(both, token),
            vocabulary=self.policy.vocabulary, mask_token_id=token, max_length=longest,
        )  # fmt: skip
        pairs, held_out = split(found, share)
        if not pairs:
            raise InputError(f"{sources.pairs}: all {len(found)} pairs are held out: lower --held-out")
        return pairs, held_out


def load(sources: inputs.Sources, options: TrainingOptions) -> Models:
    """The policy, with its adapter if it is to have one, and the reference: the base under the adapter, or a second."""
    from vrpo_theory.checkpoints import lora
    from vrpo_theory.checkpoints.adapter import attach
    from vrpo_theory.runs.fingerprints import load as load_checkpoint

    if options.adapter_rank is not None and sources.adapter is not None:
        raise InputError("--adapter goes on with an adapter, --adapter-rank makes a new one: give one of them")
    loaded: LoadOptions = {**sources.options, "device": "cpu"}  # the Trainer moves them
    ours: LoadOptions = {**loaded, "gradient_checkpointing": options.gradient_checkpointing}
    policy = load_checkpoint(str(sources.policy), **ours)
    base = policy.fingerprint
    if sources.adapter is not None:
        attach(policy.module, Path(sources.adapter))
    elif options.adapter_rank is not None:
        lora.add(policy.module, options.adapter_rank, seed=options.seed)
    adapted = lora.adapted(policy.module)
    if not adapted and policy.dtype.itemsize < 4:
        say(HALF)
    if adapted and sources.reference in (None, sources.policy):
        if options.precompute_reference:
            raise InputError("--precompute-reference frees a second model; an adapter's reference is its base: drop it")
        return Models(policy, lora.base_of(policy, base), adapted)
    reference = load_checkpoint(str(sources.reference or sources.policy), **loaded).requires_grad_(False)
    inputs.require_same_words(policy, reference)
    return Models(policy, reference, adapted)
