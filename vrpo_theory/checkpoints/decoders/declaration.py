"""The declaration of a family of masked decoders. Nothing heavy is imported before a model is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.facts import Source, agreed, plain_rotations, require_only, settled
from vrpo_theory.checkpoints.family import Family
from vrpo_theory.checkpoints.values import COUNT, FLAG, REAL, TOKENS
from vrpo_theory.errors import InputError

if TYPE_CHECKING:
    from vrpo_theory.checkpoints.decoders.predictor import MaskedDecoder  # noqa: F401 (Decoder's parameter)
    from vrpo_theory.types import Case

SIZES = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "vocab_size", "max_position_embeddings",
)  # fmt: skip
"""Options that must be there, as positive integers."""
NUMBERS = ("rms_norm_eps", "rope_theta")
FLAGS = ("tie_word_embeddings", "attention_bias", "mlp_bias", "use_bias", "use_qkv_bias")
ONLY: dict[str, Any] = {
    "hidden_act": "silu",
    "quantization_config": None,
    "rope_parameters": None,
    "rope_scaling": None,
    "use_sliding_window": False,
}
"""Options with a single supported value, in all families."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoder(Family["MaskedDecoder"]):
    """A family whose blocks are those of an autoregressive model, its attention mask replaced.

    Parameters
    ----------
    base : str
        Dotted name of that model's class, with its output head ("transformers.Qwen2ForCausalLM").
    sizes : tuple of str
        Options that must be there, as positive integers.
    numbers : tuple of str
        Options that must be there, as positive numbers.
    only : mapping
        Options that have a single supported value, in addition to those of all families.
    implied : callable
        From the options of config.json to further ones of the base's configuration.
    toy : mapping
        Options of a toy in addition to `vrpo_theory.checkpoints.decoders.toy.OPTIONS`.

    Other parameters are those of `vrpo_theory.checkpoints.family.Family`.

    Examples
    --------
    A file of a new family, say ``vrpo_theory/models/newcomer.py``, holds no more than this:

    >>> FAMILY = Decoder(
    ...     title="Newcomer",
    ...     model_type="newcomer",
    ...     architectures=("NewcomerForMaskedLM",),
    ...     base="transformers.LlamaForCausalLM",
    ...     shift=1,
    ...     checked="nothing yet",
    ...     unchecked="trained weights",
    ... )
    >>> load, case = FAMILY.load, FAMILY.case
    >>> pair = case(seed=0).pair
    >>> len(pair.chosen.prompt), len(pair.chosen.ids)
    (5, 8)
    """

    reader: str = "vrpo_theory.checkpoints.decoders.loading"
    base: str
    sizes: tuple[str, ...] = SIZES
    numbers: tuple[str, ...] = NUMBERS
    only: Mapping[str, Any] = field(default_factory=dict)
    implied: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda options: {}
    toy: Mapping[str, Any] = field(default_factory=dict)

    def case(self, seed: int, length: int = 8) -> Case:
        """Two random models of toy size and two responses; see `vrpo_theory.checkpoints.decoders.toy.case`."""
        from vrpo_theory.checkpoints.decoders.toy import case

        return case(self, seed, length)

    def check(self, path: Path, options: Mapping[str, Any]) -> None:
        """See `vrpo_theory.checkpoints.family.Family.check`."""
        self.settled(path, options)

    def settled(self, path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a config.json, checked, each under one name, and those that they imply.

        Raises
        ------
        InputError
            If an option is missing, of a wrong kind, contradictory, or has a value that is not supported.
        """
        own = plain_rotations(settled(path, options, {}))
        if missing := [name for name in (*self.sizes, *self.numbers) if own.get(name) is None]:
            raise InputError(f"{path} lacks {', '.join(missing)}: copy it from the official config.json")
        try:
            self._check(own)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return own | self.implied(own)

    def _check(self, options: Mapping[str, Any]) -> None:
        named = options.get("model_type", self.model_type)
        if self.by_type and named != self.model_type:
            raise InputError(f"model_type is {named!r}, expected {self.model_type!r} with {self.architectures[0]}")
        require_only(options, ONLY | dict(self.only))
        COUNT.require((name, options[name]) for name in self.sizes)
        REAL.require((name, options[name]) for name in self.numbers)
        FLAG.require((name, options[name]) for name in FLAGS if name in options)
        TOKENS.with_null.require((name, options.get(name)) for name in ("pad_token_id", "eos_token_id"))
        kinds, layers = options.get("layer_types"), options["num_hidden_layers"]
        if kinds is not None and (set(kinds) != {"full_attention"} or len(kinds) != layers):
            raise InputError(f"layer_types={kinds!r} is not supported: expected full_attention for {layers} layers")
        _check_heads(options, stated="head_dim" in self.sizes)


def _check_heads(options: Mapping[str, Any], *, stated: bool) -> None:
    """Heads that divide what they must; the width of a head, unless stated, is the model's over their number."""
    heads, groups = options["num_attention_heads"], options["num_key_value_heads"]
    if heads % groups:
        raise InputError(f"num_key_value_heads={groups} does not divide num_attention_heads={heads}: correct one")
    width = options.get("head_dim") if stated else options["hidden_size"] // heads
    if not stated and options["hidden_size"] % heads:
        raise InputError(f"num_attention_heads={heads} does not divide hidden_size={options['hidden_size']}")
    agreed(
        "head_dim", (Source("head_dim", options.get("head_dim")), Source("hidden_size / num_attention_heads", width))
    )
    if width is None or width % 2:
        raise InputError(f"heads of {width} numbers cannot be rotated: expected an even head_dim")
