"""From what a person types to cases: checkpoints and a file of preference pairs (layer 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vrpo_theory.console import say
from vrpo_theory.errors import InputError
from vrpo_theory.types import Case


def read_cases(
    policy: str | Path | None,
    reference: str | Path | None,
    pairs: Path | None,
    *,
    limit: int | None = None,
    truncate: bool = False,
    append_eot: bool = True,
    adapter: str | Path | None = None,
    **options: Any,
) -> list[Case]:
    """Load two checkpoints and the pairs to hold them against.

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
    options
        For both models: device, dtype, device_map, attn_implementation, gradient_checkpointing.

    Raises
    ------
    InputError
        If one of the three is missing, or any of them is malformed.
    """
    given = {"--policy": policy, "--reference": reference, "--pairs": pairs}
    missing = [name for name, value in given.items() if value is None]
    if policy is None or reference is None or pairs is None:
        raise InputError(f"missing {', '.join(missing)}: --policy DIR --reference DIR --pairs FILE.jsonl go together")
    from vrpo_theory.data import load_tokenizer, read_pairs
    from vrpo_theory.models._folder import local_folder
    from vrpo_theory.models._loading import load_model

    if not pairs.is_file():
        raise InputError(f"{pairs}: no such file; --pairs takes a JSON Lines file of preference pairs")
    folder = local_folder(policy)
    ours, theirs = load_model(folder, adapter=adapter, **options), load_model(reference, **options)
    _require_same_words(ours, theirs)
    if ours.fingerprint == theirs.fingerprint:
        say(f"{policy} and {reference} are one model: every score is 0; give the checkpoint before and after tuning")
    rows = read_pairs(
        pairs,
        tokenizer=lambda: load_tokenizer(folder),
        vocabulary=ours.vocabulary,
        mask_token_id=ours.mask_token_id,
        max_length=min(ours.max_length, theirs.max_length),
        limit=limit,
        truncate=truncate,
        append_eot=append_eot,
    )
    return [Case(ours, theirs, pair) for pair in rows]


def _require_same_words(policy: Any, reference: Any) -> None:
    for name in ("vocabulary", "mask_token_id"):
        ours, theirs = getattr(policy, name), getattr(reference, name)
        if ours != theirs:
            raise InputError(f"{name}: policy has {ours}, reference has {theirs}; they must come from one family")
