"""Whether files are as they were written, agree with each other, and belong to this run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vrpo_theory.errors import InputError
from vrpo_theory.store._errors import damaged, plainly
from vrpo_theory.store._file import StoreFile
from vrpo_theory.store._manifest import differences
from vrpo_theory.store._rows import Key


def verify(files: Sequence[StoreFile], manifest: Mapping[str, str] | None, free: Collection[str]) -> None:
    """Compare manifests with the one given (or the first); check structures by SQLite, and every row's checksum."""
    for file in files:
        with plainly(file.path):
            manifest = _agreed(file, manifest, free)
            file.check()
    seen: dict[Key, bytes] = {}
    for file in files:
        with plainly(file.path):
            for key, check in file.rows():
                # One file has each key once; only several can disagree.
                if len(files) > 1 and seen.setdefault(key, check) != check:
                    raise _conflict(files, file, key)


def _agreed(file: StoreFile, manifest: Mapping[str, str] | None, free: Collection[str]) -> Mapping[str, str]:
    """The manifest to compare the next file with."""
    stored = file.manifest()
    try:
        found = differences(stored, stored if manifest is None else manifest, free)
    except (TypeError, ValueError) as error:
        raise damaged(file.path, f"its manifest: {error}") from None
    if found:
        raise InputError(
            f"{file.path} was made with other options ({'; '.join(found)}): restore them, or give another folder"
        )
    return stored if manifest is None else manifest


def _conflict(files: Sequence[StoreFile], file: StoreFile, key: Key) -> InputError:
    other = next(f for f in files if f.find([key])[0] is not None)
    return InputError(
        f"{other.path} and {file.path} hold different values ({key}): delete one of the files, "
        "and give every rank whole responses"
    )
