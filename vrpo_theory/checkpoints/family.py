"""What a family of checkpoints declares: how config.json names it, and the facts that decide what its logits mean."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, Unpack

from vrpo_theory.checkpoints.facts import NOWHERE, Source, mask_token
from vrpo_theory.checkpoints.folder import local_folder
from vrpo_theory.checkpoints.options import LoadOptions, given_facts
from vrpo_theory.errors import InputError

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.wrapped import Wrapped

W = TypeVar("W", bound="Wrapped", covariant=True)

BLOCK_KEY = "block_size"
"""The block length's name in config.json: SDAR's own, and what is saved for families whose releases leave it out."""


class Facts(NamedTuple):
    """Facts of a checkpoint, each with the place where it was found; for a value of None, ``where`` says what to do.

    A block length of None under full attention is a fact.
    """

    shift: int
    block_length: Source
    mask_token_id: Source
    missing: tuple[str, ...] = ()

    def required(self, folder: Path) -> Facts:
        """Itself, if nothing is missing; else InputError, with the family's own value."""
        if self.missing:
            raise InputError(f"{folder} {self.missing[0]}")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Family(Generic[W]):
    """A family of checkpoints; a module of `vrpo_theory.models` that has one under the name ``FAMILY`` reads it.

    Parameters
    ----------
    title : str
        The releases' names, for messages and tables.
    model_type : str
        In config.json.
    architectures : tuple of str
        In config.json, where they decide: several families may have one model_type. The first is what is saved.
    by_type : bool
        Whether the model_type alone, without an architecture that is known, means this family.
    shift : {0, 1}
        Columns from a token back to the logits that predict it.
    attention : {"full", "blocks", "either"}
        Which tokens a token sees: all; those of its own block and of earlier ones, blocks being counted from the start
        of the sequence; or one of the two, which no file says, so that a given block length decides.
    usual_mask, usual_block : int, optional
        The releases' own values, named where a checkpoint does not say.
    mask_names : tuple of str
        Names that mean the mask token where a tokenizer declares none.
    checked, unchecked : str
        Against what the family's numbers were checked, and against what not.
    reader : str
        Dotted name of the module that reads a folder: its ``read(family, folder, placement, **given)`` returns the
        predictor, with all but the weights' values checked before they are allocated. It is imported when needed.
    """

    title: str
    model_type: str
    architectures: tuple[str, ...]
    by_type: bool = True
    shift: int = 0
    attention: Literal["full", "blocks", "either"] = "full"
    usual_mask: int | None = None
    usual_block: int | None = None
    mask_names: tuple[str, ...] = ()
    checked: str
    unchecked: str
    reader: str

    def load(self, source: str | Path, *, revision: str | None = None, **options: Unpack[LoadOptions]) -> W:
        """A predictor from a checkpoint, in eval mode; safetensors only, never with remote code.

        Parameters
        ----------
        source : path or str
            A folder with config.json, and model.safetensors or model.safetensors.index.json with its shards; or a hub
            id at a pinned commit (``org/name@commit``, or ``org/name`` and ``revision``).
        revision : str, optional
            Commit of a hub id, 40 hex digits.
        **options
            As in `vrpo_theory.checkpoints.options.LoadOptions`.

        Raises
        ------
        InputError
            If anything is missing, damaged, contradictory or not supported.
        """
        from vrpo_theory.checkpoints.placement import Placement

        placement, folder = Placement(**options), local_folder(source, revision)
        read = importlib.import_module(self.reader).read
        model: W = placement.finish(read(self, folder, placement, **given_facts(options)))
        model.require_sound()
        return model

    def facts(
        self, folder: Path, options: Mapping[str, Any], *, mask_token_id: int | None = None,
        block_length: int | None = None,
    ) -> Facts:  # fmt: skip
        """Facts of a checkpoint by its files and by what the user gives.

        Parameters
        ----------
        folder : path
        options : mapping
            The content of its config.json.
        mask_token_id, block_length : int, optional
            Given by the user, whose word counts for more than the files'.

        Raises
        ------
        InputError
            If two files differ, or a block length is given that is none.
        """
        mask = _given("mask_token_id", mask_token_id) or mask_token(folder, options, self.mask_names)
        block = self._block_length(folder, options, block_length)
        missing = []
        if mask.value is None:
            missing.append(self._advice("mask_token_id", self.usual_mask))
        if block.value is None and self.attention == "blocks":
            missing.append(self._advice("block_length", self.usual_block))
        return Facts(self.shift, block, mask, tuple(missing))

    def check(self, path: Path, options: Mapping[str, Any]) -> None:
        """InputError for what is not supported, as far as this is known before the model's class is imported.

        Parameters
        ----------
        path : path
            Named in errors.
        options : mapping
            The content of config.json.
        """

    @property
    def everywhere(self) -> str:
        """Where a fact is found that holds for the whole family."""
        return f"every checkpoint of {self.title}"

    def _block_length(self, folder: Path, options: Mapping[str, Any], block_length: int | None) -> Source:
        if self.attention == "full":
            if block_length is not None:
                raise InputError(f"{folder}: {self.title} sees whole sequences: leave out --block-length")
            return Source(self.everywhere, None)
        stated = Source(f"{BLOCK_KEY} in {folder / 'config.json'}", options.get(BLOCK_KEY))
        found = _given("block_length", block_length) or (NOWHERE if stated.value is None else stated)
        if found.value is not None and (type(found.value) is not int or found.value < 1):
            raise InputError(f"block_length is {found.value!r} by {found.where}, expected a positive integer")
        if found is NOWHERE and self.attention == "either":
            return Source(f"no block length given; {self.title} with blocks usually has {self.usual_block}", None)
        return found

    def _advice(self, fact: str, usual: int | None) -> str:
        option = f"--{fact.replace('_', '-')}"
        known = f"; that of {self.title} is {usual}" if usual is not None else ""
        return f"lacks {fact}, in config.json and elsewhere: give {option}{known}"


def _given(fact: str, value: int | None) -> Source | None:
    return None if value is None else Source(f"the given {fact}", value)
