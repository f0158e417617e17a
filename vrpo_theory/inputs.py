"""From what a person types to cases: checkpoints and a file of preference pairs (layer 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrpo_theory.console import say
from vrpo_theory.errors import InputError
from vrpo_theory.types import Case, PreferencePair


@dataclass(frozen=True)
class Sources:
    """Where cases come from.

    Parameters
    ----------
    policy, reference : path or str
        Folders or pinned hub ids (``org/name@commit``), in the LLaDA format or a masked language model of transformers.
    pairs : path
        JSON Lines; text is tokenized by the policy's tokenizer.
    limit, truncate, append_eot
        As in `vrpo_theory.read_pairs`.
    adapter : path, optional
        Folder of a LoRA adapter for the policy.
    options : mapping
        For both models: device, dtype, device_map, attn_implementation, gradient_checkpointing.
    """

    policy: str | Path | None = None
    reference: str | Path | None = None
    pairs: Path | None = None
    limit: int | None = None
    truncate: bool = False
    append_eot: bool = True
    adapter: str | Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given(self) -> bool:
        """Whether any of the three is named."""
        return any((self.policy, self.reference, self.pairs))

    @property
    def label(self) -> str:
        """The policy's name in tables."""
        return Path(str(self.policy)).name


def numbers(text: str, count: int, option: str) -> tuple[int, ...]:
    """Positive integers from "12,4"; InputError for anything else."""
    parts = text.split(",")
    if len(parts) != count or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"{option} {text!r} is not {count} positive integers: write them as in 12,4")
    return tuple(int(part) for part in parts)


def read_cases(sources: Sources) -> list[Case]:
    """Load two checkpoints and the pairs to hold them against.

    Raises
    ------
    InputError
        If one of the three is missing, or any of them is malformed.
    """
    policy, reference, pairs = sources.policy, sources.reference, sources.pairs
    missing = [f"--{name}" for name in ("policy", "reference", "pairs") if getattr(sources, name) is None]
    if policy is None or reference is None or pairs is None:
        raise InputError(f"missing {', '.join(missing)}: --policy DIR --reference DIR --pairs FILE.jsonl go together")
    from vrpo_theory.models._folder import local_folder
    from vrpo_theory.models._loading import load_model

    if not pairs.is_file():
        raise InputError(f"{pairs}: no such file; --pairs takes a JSON Lines file of preference pairs")
    folder = local_folder(policy)
    ours = load_model(folder, adapter=sources.adapter, **sources.options)
    theirs = load_model(reference, **sources.options)
    _require_same_words(ours, theirs)
    if ours.fingerprint == theirs.fingerprint:
        say(f"{policy} and {reference} are one model: every score is 0; give the checkpoint before and after tuning")
    bounds = {"mask_token_id": ours.mask_token_id, "max_length": min(ours.max_length, theirs.max_length)}
    return [Case(ours, theirs, pair) for pair in _pairs(sources, pairs, folder, vocabulary=ours.vocabulary, **bounds)]


def _pairs(sources: Sources, path: Path, folder: Path, **bounds: int) -> list[PreferencePair]:
    from vrpo_theory.data import load_tokenizer, read_pairs

    return read_pairs(
        path,
        tokenizer=lambda: load_tokenizer(folder),
        limit=sources.limit,
        truncate=sources.truncate,
        append_eot=sources.append_eot,
        **bounds,
    )


def _require_same_words(policy: Any, reference: Any) -> None:
    for name in ("vocabulary", "mask_token_id"):
        ours, theirs = getattr(policy, name), getattr(reference, name)
        if ours != theirs:
            raise InputError(f"{name}: policy has {ours}, reference has {theirs}; they must come from one family")
