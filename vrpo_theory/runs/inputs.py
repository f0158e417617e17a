"""From the user's options to cases: checkpoints and a file of preference pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from vrpo_theory.checkpoints.options import LoadOptions
from vrpo_theory.errors import InputError
from vrpo_theory.runs.console import say
from vrpo_theory.types import Case, PreferencePair

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.lora import AdapterOff
    from vrpo_theory.checkpoints.wrapped import Wrapped
    from vrpo_theory.data.checks import Bounds
    from vrpo_theory.data.protocol import Tokenizer


@dataclass(frozen=True)
class Sources:
    """Where cases come from.

    Parameters
    ----------
    policy, reference : path or str
        Folders or pinned hub ids (``org/name@commit``) of a family that `vrpo_theory.load_model` reads.
    pairs : path
        As `vrpo_theory.read_pairs` takes it; text is tokenized by the policy's tokenizer.
    limit, truncate, append_eot, rendered
        As in `vrpo_theory.read_pairs`.
    chat_template : path or str, optional
        A file, or the name of one of the tokenizer's templates.
    adapter : path, optional
        Folder of a LoRA adapter for the policy.
    options : mapping
        For both models, as in `vrpo_theory.checkpoints.options.LoadOptions`.
    one_at_a_time : bool
        Whether the two models are on the device in turn; they are, too, if both do not fit.
    """

    policy: str | Path | None = None
    reference: str | Path | None = None
    pairs: Path | None = None
    limit: int | None = None
    truncate: bool = False
    append_eot: bool = True
    adapter: str | Path | None = None
    options: LoadOptions = field(default_factory=LoadOptions)
    rendered: bool = False
    chat_template: str | Path | None = None
    one_at_a_time: bool = False

    @property
    def given(self) -> bool:
        """Whether any of the three is named."""
        return any((self.policy, self.reference, self.pairs))

    @property
    def label(self) -> str:
        """The policy's name in tables."""
        return Path(str(self.policy)).name


def read_cases(sources: Sources) -> list[Case]:
    """Load two checkpoints and the preference pairs.

    Raises
    ------
    InputError
        If one of the three is missing, or any of them is malformed.
    """
    policy, reference, pairs = sources.policy, sources.reference, sources.pairs
    missing = [f"--{name}" for name in ("policy", "reference", "pairs") if getattr(sources, name) is None]
    if policy is None or reference is None or pairs is None:
        raise InputError(f"missing {', '.join(missing)}: --policy DIR --reference DIR --pairs FILE.jsonl go together")
    from vrpo_theory.runs.roles import load_roles

    _require_there(pairs)
    ours, theirs = load_roles(sources, policy, reference)
    require_same_words(ours, theirs)
    if ours.fingerprint == theirs.fingerprint:
        say(f"{policy} and {reference} are one model: every score is 0; give the checkpoint before and after tuning")
    bounds: Bounds = {
        "vocabulary": ours.vocabulary,
        "mask_token_id": ours.mask_token_id,
        "max_length": min(ours.max_length, theirs.max_length),
    }
    found = read(sources, lambda: tokenizer(sources, ours.mask_token_id), **bounds)
    return [Case(ours, theirs, pair) for pair in found]


def _require_there(pairs: Path) -> None:
    """InputError, in the system's words, for pairs that cannot be found: before a model is loaded."""
    try:
        if str(pairs) != "-":
            pairs.stat()
    except OSError as error:
        remote = re.match(r"[a-z0-9]+:/", str(pairs))
        fix = "an address is not read: download the file" if remote else "give preference pairs, such as JSON Lines"
        raise InputError(f"{pairs}: {error.strerror}; {fix}") from None


def read(sources: Sources, words: Callable[[], Tokenizer], **bounds: Unpack[Bounds]) -> list[PreferencePair]:
    """The pairs, by a tokenizer that is loaded if there is text."""
    from vrpo_theory.data import read_pairs

    assert sources.pairs is not None
    return read_pairs(
        sources.pairs,
        tokenizer=words,
        limit=sources.limit,
        truncate=sources.truncate,
        append_eot=sources.append_eot,
        rendered=sources.rendered,
        **bounds,
    )


def tokenizer(sources: Sources, mask_token_id: int | None = None) -> Tokenizer:
    """The policy's tokenizer.

    Raises
    ------
    InputError
        If the reference has another one or another chat template, or the mask token is not the model's.
    """
    from vrpo_theory.checkpoints.folder import local_folder
    from vrpo_theory.data.tokenizer import has_tokenizer, load_tokenizer, read_tokenizer, require_same

    ours, theirs = (local_folder(str(source)) for source in (sources.policy, sources.reference))
    words = load_tokenizer(ours, sources.chat_template)
    if has_tokenizer(theirs):
        other = read_tokenizer(theirs, chosen=sources.chat_template is not None)
        require_same(words, other)
        if sources.chat_template is None and _default(other) not in (None, _default(words)):
            raise InputError(
                f"{ours} and {theirs} have different chat templates, so that one text is two sequences: choose one for "
                "both with --chat-template FILE"
            )
    if None not in (mask_token_id, words.mask_token_id) and words.mask_token_id != mask_token_id:
        raise InputError(
            f"{ours}: the tokenizer's mask token {words.mask_token} is {words.mask_token_id}, the model's "
            f"mask_token_id is {mask_token_id}: correct one of them"
        )
    return words


def _default(words: Tokenizer) -> str | None:
    """The chat template that writes a text where none is chosen."""
    templates = words.chat_template
    return templates.get("default") if isinstance(templates, dict) else templates


def shown(sources: Sources, count: int) -> str:
    """The first pairs as they are scored, from tokenizer and config.json alone; see `vrpo_theory.data.display`."""
    from vrpo_theory.data import show

    found: list[Tokenizer] = []
    pairs = read_unloaded(replace(sources, limit=min(count, sources.limit or count)), found)
    return show(pairs, found[0] if found else _any_tokenizer(sources))


def read_unloaded(sources: Sources, words: list[Tokenizer] | None = None) -> list[PreferencePair]:
    """The pairs, by tokenizer and config.json alone.

    Parameters
    ----------
    words : list, optional
        Takes the tokenizer, if it was needed.
    """
    from vrpo_theory.checkpoints.options import given_facts
    from vrpo_theory.models import describe

    models = (sources.policy, sources.reference)
    ours, theirs = (describe(str(source), **given_facts(sources.options)) for source in models)
    lengths = [model.sizes["longest"] for model in (ours, theirs) if "longest" in model.sizes]
    bounds: Bounds = {
        "vocabulary": ours.sizes.get("vocabulary"),
        "mask_token_id": ours.facts.mask_token_id.value,
        "max_length": min(lengths, default=None),
    }
    used = [] if words is None else words

    def needed() -> Tokenizer:
        used.append(tokenizer(sources, bounds["mask_token_id"]))
        return used[0]

    return read(sources, needed, **bounds)


def _any_tokenizer(sources: Sources) -> Tokenizer | None:
    """The policy's tokenizer, if it has one, to decode rows of ids."""
    from vrpo_theory.checkpoints.folder import local_folder
    from vrpo_theory.data.tokenizer import has_tokenizer, load_tokenizer

    folder = local_folder(str(sources.policy))
    return load_tokenizer(folder, sources.chat_template) if has_tokenizer(folder) else None


def require_same_words(policy: Wrapped, reference: Wrapped | AdapterOff) -> None:
    for name in ("vocabulary", "mask_token_id", "block_length"):
        ours, theirs = getattr(policy, name, None), getattr(reference, name, None)
        if ours != theirs:
            raise InputError(f"{name}: policy has {ours}, reference has {theirs}; they must come from one family")
