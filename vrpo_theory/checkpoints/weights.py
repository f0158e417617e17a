"""What a checkpoint's weight files say about themselves, read from their headers before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError, safe_open

from vrpo_theory.checkpoints.folder import require_file
from vrpo_theory.checkpoints.notes import note, some
from vrpo_theory.checkpoints.shards import read_index, weight_files
from vrpo_theory.errors import InputError, one_line

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

POINTER = b"version https://git-lfs"
FLOATS = ("F64", "F32", "F16", "BF16")
ROWS = 4096


class Header(NamedTuple):
    """Where a tensor lies, and how it is stored."""

    file: Path
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Room of the values in the file."""
        bits = 8 if self.dtype == "BOOL" else int("".join(filter(str.isdigit, self.dtype.partition("_")[0])))
        return math.prod(self.shape) * bits // 8


def read_headers(folder: Path) -> dict[str, Header]:
    """Header of every tensor by name.

    Raises
    ------
    InputError
        If a file cannot be read, or two files, or the index and the shards, contradict each other.
    """
    files = weight_files(folder)
    found: dict[str, Header] = {}
    for file in files.weights:
        for name, header in _file_headers(file).items():
            _require_same(name, found.setdefault(name, header), header)
    for file in files.twins:
        for name, header in _file_headers(file).items():
            if name not in found:
                raise InputError(f"{file} holds {name}, which {files.weights[0]} lacks: keep one of the two")
            _require_same(name, found[name], header)
    if files.table is not None:
        _compare_with_index(files.table, found)
    return found


@contextmanager
def opened(found: Mapping[str, Header]) -> Iterator[dict[str, Any]]:
    """Tensors by name, each read from its file only when its values are asked for."""
    with ExitStack() as stack:
        files = {header.file for header in found.values()}
        handles = {file: stack.enter_context(safe_open(file, "pt")) for file in files}
        yield {name: handles[header.file].get_slice(name) for name, header in found.items()}


def check_headers(folder: Path, found: Mapping[str, Header], expected: Mapping[str, Tensor]) -> None:
    """Names, shapes and kinds of numbers against the architecture's; InputError names what is off."""
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    wrong = {name for name in shapes.keys() & found.keys() if found[name].shape != shapes[name]}
    for names, what in (
        (shapes.keys() - found.keys(), "lacks"),
        (found.keys() - shapes.keys(), "has unexpected"),
        ({f"{n}, {list(found[n].shape)} instead of {list(shapes[n])}" for n in wrong}, "has the wrong shape of"),
    ):
        if names:
            raise InputError(f"{folder} {what} {some(names)}: the weights do not match config.json")
    for name, tensor in expected.items():
        header = found[name]
        if tensor.is_floating_point() and header.dtype not in FLOATS:
            raise InputError(
                f"{header.file}: {name} is {header.dtype}, expected one of {', '.join(FLOATS)}: convert it"
            )


def matching_headers(folder: Path, found: dict[str, Header], module: PreTrainedModel) -> dict[str, Header]:
    """The headers, if they are those of a module's tensors; a tied tensor may be stored twice, or once.

    Parameters
    ----------
    module : PreTrainedModel
        On any device; no values are read.

    Raises
    ------
    InputError
        If a tensor is missing, left over, of another shape or kind, or differs from the one that it is tied to.
    """
    expected, config = dict(module.state_dict()), module.config
    tied = dict(module._tied_weights_keys or {}) if config.tie_word_embeddings else {}
    for copy in tied.keys() - found.keys():
        del expected[copy]
    check_headers(folder, found, expected)
    for copy, original in tied.items():
        if copy in found and not same_tensor(found[copy], found[original], copy, original):
            option = config.attribute_map.get("tie_word_embeddings", "tie_word_embeddings")
            raise InputError(
                f"{folder}: {option} is true but {copy} differs from {original}: set it to false or drop one"
            )
    return found


def same_tensor(one: Header, other: Header, name: str, other_name: str) -> bool:
    """Whether two stored tensors are equal, read a few rows at a time."""
    import torch

    if one.shape != other.shape:
        return False
    with safe_open(one.file, "pt") as f, safe_open(other.file, "pt") as g:
        a, b = f.get_slice(name), g.get_slice(other_name)
        if not one.shape:
            return torch.equal(f.get_tensor(name), g.get_tensor(other_name))
        return all(torch.equal(a[i : i + ROWS], b[i : i + ROWS]) for i in range(0, one.shape[0], ROWS))


def _require_same(name: str, one: Header, other: Header) -> None:
    if one.file != other.file and not same_tensor(one, other, name, name):
        raise InputError(f"{name} is in both {one.file} and {other.file}, and differs: keep one of them")


def _compare_with_index(index: Path, found: Mapping[str, Header]) -> None:
    table, size = read_index(index)
    for name, header in found.items():
        if name not in table:
            raise InputError(f"{index} lacks {name}, which {header.file.name} holds: rebuild the index")
    for name, file in table.items():
        if name not in found or found[name].file.name != file:
            raise InputError(f"{index} puts {name} in {file}, which does not hold it: rebuild the index")
    stored = sum(header.bytes for header in found.values())
    if size not in (None, stored):
        note(
            f"{index}: total_size is {size}, the shards hold {stored} bytes; names and shapes agree, so it is not used"
        )


def _file_headers(file: Path) -> dict[str, Header]:
    require_file(file)
    try:
        with file.open("rb") as stream:
            start = stream.read(len(POINTER))
        if start == POINTER:
            raise InputError(f"{file} is a git-lfs pointer, not weights: run git lfs pull")
        with safe_open(file, "np") as f:
            slices = {name: f.get_slice(name) for name in f.keys()}  # noqa: SIM118 (not a mapping)
            return {n: Header(file, s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}
    except OSError as error:
        raise InputError(f"{file} cannot be read ({one_line(error)})") from None
    except SafetensorError as error:
        raise InputError(f"{file} is not a complete safetensors file ({one_line(error)}): copy it again") from None
