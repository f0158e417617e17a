"""The tokenizer of a model folder, and the facts about it that are written in two places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias, cast

from vrpo_theory.data.protocol import Tokenizer
from vrpo_theory.errors import InputError, one_line

Templates: TypeAlias = str | dict[str, str] | None
"""A chat template, several by name, or none."""

_FILES = ("tokenizer.json", "tokenizer_config.json")
_TEMPLATE, _CONFIG, _MAP = "chat_template.jinja", "tokenizer_config.json", "special_tokens_map.json"


def load_tokenizer(folder: str | Path, chat_template: str | Path | None = None) -> Tokenizer:
    """The fast tokenizer of a model folder, from local files and without the folder's own code.

    Parameters
    ----------
    folder : path
        Holds tokenizer.json and tokenizer_config.json.
    chat_template : str or path, optional
        A file with a chat template, or the name of one of the folder's, in place of the one that it would choose.

    Returns
    -------
    transformers.PreTrainedTokenizerFast

    Raises
    ------
    InputError
        If a file is missing or cannot be read, two of them contradict each other, or there are several chat templates
        and none is the default.
    """
    tokenizer = read_tokenizer(folder, chosen=chat_template is not None)
    tokenizer.chat_template = _template(folder, tokenizer.chat_template, chat_template)
    return tokenizer


def read_tokenizer(folder: str | Path, chosen: bool = False) -> Tokenizer:
    """As `load_tokenizer`, with all the chat templates that the folder has; they may differ if another is chosen."""
    if missing := [name for name in _FILES if not (Path(folder) / name).is_file()]:
        raise InputError(f"{folder}: no {' and no '.join(missing)}: give a model folder with its tokenizer")
    # Not AutoTokenizer: it would also consult config.json, which may point at the folder's own code.
    from transformers import PreTrainedTokenizerFast

    try:
        _refuse_contradictions(Path(folder), chosen)
        return cast(Tokenizer, PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True))
    except InputError:
        raise
    except Exception as error:  # the tokenizers library raises bare Exception on a damaged file
        raise InputError(f"{folder}: the tokenizer cannot be read ({one_line(error)}): copy its files again") from error


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer."""
    return all((folder / name).is_file() for name in _FILES)


def _template(folder: str | Path, found: Templates, chosen: str | Path | None) -> Templates:
    named = found if isinstance(found, dict) else {}
    if chosen is not None and str(chosen) in named:
        return named[str(chosen)]
    if chosen is not None and Path(chosen).is_file():
        return Path(chosen).read_text(encoding="utf-8")
    names = f"the chat templates {', '.join(sorted(named))}" if named else "no named chat templates"
    if chosen is not None:
        raise InputError(f"{folder} has {names}, and {chosen} is no file either: give a name or a file")
    if named and "default" not in named:
        raise InputError(f"{folder} has {names}, and none is the default: choose one with --chat-template NAME")
    return found


def _refuse_contradictions(folder: Path, chosen: bool) -> None:
    config, marks = _read(folder / _CONFIG), _read(folder / _MAP)
    template = folder / _TEMPLATE
    other = _default(config.get("chat_template"))
    if template.is_file() and not chosen and other and template.read_text(encoding="utf-8").strip() != other.strip():
        raise InputError(
            f"{folder}: two chat templates, in {_TEMPLATE} and in {_CONFIG}, differ: remove one, or choose with "
            "--chat-template FILE"
        )
    for name, mark in marks.items():
        if isinstance(mark, str | dict) and name in config and _word(config[name]) != _word(mark):
            raise InputError(
                f"{folder}: {name} is {_word(config[name])!r} in {_CONFIG} and {_word(mark)!r} in {_MAP}: "
                "keep the true one"
            )
    known = {token["id"]: token["content"] for token in _read(folder / _FILES[0]).get("added_tokens") or []}
    for key, token in (config.get("added_tokens_decoder") or {}).items():
        if int(key) in known and known[int(key)] != token["content"]:
            raise InputError(
                f"{folder}: token {key} is {known[int(key)]!r} in {_FILES[0]} and {token['content']!r} in {_CONFIG}: "
                "copy both files from one place"
            )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _word(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _default(template: str | list[dict[str, str]] | None) -> str | None:
    if isinstance(template, list):
        return next((t["template"] for t in template if t.get("name") == "default"), None)
    return template


def require_same(policy: Tokenizer, reference: Tokenizer) -> None:
    """InputError if two tokenizers give a text other ids."""
    names = f"{policy.name_or_path} and {reference.name_or_path}"
    if policy.get_vocab() != reference.get_vocab():
        raise InputError(
            f"the tokenizers of {names} have different vocabularies: policy and reference must read the same ids; give "
            "two checkpoints of one family"
        )
    if json.loads(policy.backend_tokenizer.to_str()) != json.loads(reference.backend_tokenizer.to_str()):
        raise InputError(
            f"the tokenizers of {names} split text differently (their tokenizer.json differ): copy the right one to "
            "both folders"
        )
