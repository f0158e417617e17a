"""What is asked of a tokenizer; the fast ones of transformers offer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vrpo_theory.data.messages import Message


class Tokenizer(Protocol):
    """Texts and conversations to token ids, and back."""

    name_or_path: str
    chat_template: str | dict[str, str] | None
    mask_token: str | None
    mask_token_id: int | None

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> Mapping[str, Any]:
        """Under "input_ids" the ids, under "offset_mapping" the (first, behind the last) characters of each."""
        ...

    def encode(self, text: str, text_pair: str | None = None, add_special_tokens: bool = True) -> list[int]:
        """Ids of a text, or of two that belong together."""
        ...

    def decode(self, ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        """The text of ids."""
        ...

    def apply_chat_template(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = False, tokenize: bool = True, **context: Any
    ) -> str:
        """A conversation as the chat template writes it; text with ``tokenize=False``."""
        ...

    def get_vocab(self) -> Mapping[str, int]:
        """Every token and its id."""
        ...

    @property
    def backend_tokenizer(self) -> Any:
        """The object of the tokenizers library, whose ``to_str()`` is tokenizer.json."""
        ...
