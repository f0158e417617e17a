"""From what a user names, a folder or a hub id, to a local folder and what its config.json says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError, one_line

HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*?)(?:@(.*))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""Files taken from the hub: data alone, never code."""
UNREAD = ("auto_map", "dtype", "torch_dtype")
"""Keys that name code, never run here, and the type the weights are stored in, which the files tell themselves."""


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint; a hub id is downloaded, or found in the hub's cache.

    Parameters
    ----------
    source : path or str
        A folder, or a hub id: ``org/name`` with ``revision``, or ``org/name@revision``.
    revision : str, optional
        Commit of a hub id, 40 hexadecimal digits: a branch or a tag may move, and with it every number.

    Raises
    ------
    InputError
        If a hub id is not pinned or cannot be downloaded, or a revision is given for a folder.
    """
    named = HUB_ID.fullmatch(str(source))
    if named is None or Path(source).exists():
        if revision is not None:
            raise InputError(f"revision={revision!r} is for a hub id, and {source} is a path: leave it out")
        return Path(source)
    name, pinned = named[1], revision or named[2]
    if pinned is None or not COMMIT.fullmatch(pinned):
        raise InputError(
            f"{name} is not a folder, and as a hub id it needs a commit, got revision={pinned!r}: "
            f"give {name}@COMMIT with its 40 hex digits, since a branch or tag can move"
        )
    return _snapshot(name, pinned)


def _snapshot(name: str, commit: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=commit, allow_patterns=list(WANTED)))
    except Exception as error:  # the hub's own errors, the system's, or the HTTP library's of the day
        reason = str(error).strip().partition("\n")[0].rstrip(".")
    raise InputError(
        f"{name} at {commit} cannot be downloaded ({reason}): where the hub can be reached, run "
        f"hf download {name} --revision {commit} --local-dir DIR, then give DIR"
    )


def listing(folder: Path) -> list[str]:
    """Names in a folder, sorted; InputError, in the system's words, where it cannot be listed."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        fix = "give the local folder of a checkpoint or an adapter"
        raise InputError(f"{folder} is not a folder: {fix} ({one_line(error)})") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be listed ({one_line(error)})") from None


def config_file(folder: Path) -> Path:
    """The config.json of a checkpoint; InputError where there is none."""
    if "config.json" not in listing(folder):
        raise InputError(f"{folder} has no config.json: add the one that belongs to the weights")
    return folder / "config.json"


def require_file(path: Path) -> None:
    """InputError for a pipe or a device, which might never end; what is not there is left to be opened."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path} is no file but a pipe or a device: give a file")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file, with or without a byte order mark.

    Raises
    ------
    InputError
        If the file cannot be read (in the system's words), holds anything else, or gives a key two values.
    """
    require_file(path)
    try:
        value = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_object)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({one_line(error)})") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({one_line(error)}): correct it") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected a JSON object: correct it")
    return value


def read_options(folder: Path) -> dict[str, Any]:
    """The content of a checkpoint's config.json, if the weights beside it are all there is to load.

    Raises
    ------
    InputError
        If there is no such file, or transformers would load something other than the folder's weights.
    """
    if "adapter_config.json" in listing(folder):
        raise InputError(
            f"{folder} has an adapter_config.json: merge the adapter into the weights and remove the file, "
            "or give the folder of its base, and this one as adapter"
        )
    path = config_file(folder)
    options = read_json(path)
    if "transformers_weights" in options:
        raise InputError(f"{path}: transformers_weights would select other weights: remove the key")
    return {name: value for name, value in options.items() if name not in UNREAD}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    for key, item in pairs:
        if value[key] != item:
            raise ValueError(f"{key} is both {item!r} and {value[key]!r}")
    return value
