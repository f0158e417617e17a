"""From what a user names, a folder or a hub id, to a local folder and what its config.json says (layer 1)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vrpo_theory.errors import InputError

HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*?)(?:@(.*))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = (
    "config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
"""Files taken from the hub: data alone, never code."""


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


def config_file(folder: Path) -> Path:
    """The config.json of a checkpoint; InputError where there is none."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the local folder of a checkpoint")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json: download it with the weights")
    return folder / "config.json"


def read_options(folder: Path) -> dict[str, Any]:
    """The content of a checkpoint's config.json, if the weights beside it are all there is to load.

    Raises
    ------
    InputError
        If there is no such file, or transformers would load something other than the folder's weights.
    """
    # Here, since the package of LLaDA itself imports this module.
    from vrpo_theory.models.llada.weights import read_json

    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{folder} has an adapter_config.json: merge the adapter into the weights and remove the file, "
            "or give the folder of its base, and this one as adapter"
        )
    path = config_file(folder)
    options = read_json(path)
    if "transformers_weights" in options:
        raise InputError(f"{path}: transformers_weights would select other weights: remove the key")
    return options
