"""From what a person types to cases: checkpoints and a file of preference pairs (layer 5)."""

from __future__ import annotations

from pathlib import Path

from vrpo_theory.errors import InputError
from vrpo_theory.types import Case


def read_cases(
    policy: Path | None,
    reference: Path | None,
    pairs: Path | None,
    *,
    limit: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> list[Case]:
    """Load two checkpoints in the LLaDA format and the pairs to hold them against.

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
    from vrpo_theory.models import MODELS

    if not pairs.is_file():
        raise InputError(f"{pairs}: no such file; --pairs takes a JSON Lines file of preference pairs")
    models = [MODELS["llada"].load(folder, device=device, dtype=dtype) for folder in (policy, reference)]
    _require_same_words(models[0], models[1])
    rows = read_pairs(
        pairs,
        tokenizer=lambda: load_tokenizer(policy),
        vocabulary=models[0].vocabulary,
        mask_token_id=models[0].mask_token_id,
        max_length=models[0].max_length,
        limit=limit,
    )
    return [Case(models[0], models[1], pair) for pair in rows]


def _require_same_words(policy: object, reference: object) -> None:
    for name in ("vocabulary", "mask_token_id"):
        ours, theirs = getattr(policy, name), getattr(reference, name)
        if ours != theirs:
            raise InputError(f"{name}: policy has {ours}, reference has {theirs}; they must come from one family")
