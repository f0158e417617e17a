"""The sample store: every evaluation that was ever made, once, on disk."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import InputError
from vrpo_theory.locks import hold
from vrpo_theory.store import _file, _manifest, _rows
from vrpo_theory.store._errors import plainly
from vrpo_theory.store._file import StoreFile
from vrpo_theory.store._verify import verify
from vrpo_theory.types import Request, Response


class SampleStore:
    """Log-probabilities of masked tokens by model, response and mask, in a folder of SQLite files, one per rank.

    An evaluation is kept as it was first recorded: to the bit, and for good. A batch is kept whole or not at all; what
    was recorded survives the death of the process and of the machine. All rows are verified when the store is opened,
    and again when they are read; opening a million rows takes about ten seconds.

    Each rank writes its own file and reads those of all ranks as they were when it opened the store. Give a rank whole
    responses: two ranks that evaluate one mask in different batches may differ in the last bits, and that is refused.

    Use `open` or `read`, then the store as a context manager.

    Attributes
    ----------
    remarks : list of str
        What the file system refused, and how evaluations are kept instead; for the person to read.

    Examples
    --------
    >>> import tempfile
    >>> from vrpo_theory import MODELS, Case, Recorded, Scheme, estimate_scores
    >>> case = MODELS["tabular"].case(0, 3)
    >>> with tempfile.TemporaryDirectory() as folder, SampleStore.open(folder, {"data": "an example"}) as store:
    ...     kept = Case(Recorded(case.policy, store), Recorded(case.reference, store), case.pair)
    ...     first, again = (estimate_scores([kept], Scheme(), seed=0) for _ in range(2))  # the second evaluates nothing
    >>> first[0].margin == again[0].margin
    True
    """

    def __init__(self, folder: Path, files: Sequence[StoreFile], own: StoreFile | None, held: ExitStack) -> None:
        self.folder = folder
        self._files, self._own, self._held = files, own, held
        self.remarks = [f"{folder}: {r}" for r in dict.fromkeys(file.access.remark for file in files) if r]

    @classmethod
    def open(cls, folder: Path | str, manifest: Fields, *, rank: int = 0, free: Collection[str] = ()) -> SampleStore:
        """Open a folder to write as one rank, and to read all ranks; make what does not exist.

        Parameters
        ----------
        folder : path
        manifest : mapping of str to JSON values
            All that the numbers depend on beside model, response and mask: code, versions, device, dtype, data, seed.
        rank : int
            Which file to write, ``store-RANK.sqlite``.
        free : collection of str
            Manifest fields that may differ from those that the files were made with.

        Raises
        ------
        InputError
            If a manifest differs, a file is damaged or being written by another process, two files hold different
            values for one key, or the folder cannot be written.
        OSError
            If the disk is full or fails; what was recorded is intact.
        """
        folder = Path(folder)
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0:
            raise InputError(f"rank must be an integer of at least 0, got {rank!r}")
        path, fields = folder / f"store-{rank}.sqlite", _manifest.encode(manifest)
        with ExitStack() as stack:
            with plainly(path):
                folder.mkdir(parents=True, exist_ok=True)
                refused = stack.enter_context(hold(path))
                if not path.exists():
                    _file.create(path, fields)
            own = _opened(stack, path, write=True)
            others = [_opened(stack, other) for other in _paths(folder) if other != path]
            verify([own, *others], fields, free)
            store = cls(folder, [own, *others], own, stack.pop_all())
            if refused:
                store.remarks.append(
                    f"{folder}: the system locks no files ({refused}): claims beside them stand instead"
                )
            return store

    @classmethod
    def read(cls, folder: Path | str, manifest: Fields | None = None, *, free: Collection[str] = ()) -> SampleStore:
        """Open a folder to read; with no manifest its files need only agree among themselves. Raises as `open` does."""
        folder = Path(folder)
        paths = _paths(folder)
        if not paths:
            raise InputError(f"{folder} holds no store-RANK.sqlite: give the folder of a recorded run")
        with ExitStack() as stack:
            files = [_opened(stack, path) for path in paths]
            verify(files, None if manifest is None else _manifest.encode(manifest), free)
            return cls(folder, files, None, stack.pop_all())

    @property
    def manifest(self) -> Document:
        """What the numbers depend on, as it was given when the store was made."""
        return {name: json.loads(value) for name, value in self._files[0].manifest().items()}

    def recall(
        self, model: str, response: Response, masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """What is known of a response under a model.

        Parameters
        ----------
        model : str
            The model's fingerprint.
        masks : (n, L) bool

        Returns
        -------
        values : (n, L) float64
            Nats at the masked tokens of known rows, 0 elsewhere.
        known : (n,) bool
            A mask of no tokens is always known.
        """
        masks = _checked(response, masks)
        known = masks.sum(1) == 0
        rows = np.flatnonzero(~known)
        found = self._find(_rows.keys(model, response, masks[rows]))
        known[rows] = [value is not None for value in found]
        values = np.zeros(masks.shape)
        stored = b"".join(value for value in found if value is not None)
        values[masks & known[:, None]] = np.frombuffer(stored, "<f8")
        return values, known

    def record(self, model: str, batch: Sequence[Request], values: Sequence[NDArray[np.float64]]) -> None:
        """Keep a batch in one transaction; rows that are known stay as they are.

        Parameters
        ----------
        model : str
            The model's fingerprint.
        batch : sequence of (Response, (n, L) bool)
        values : sequence of (n, L) float64
            Nats at masked tokens; what stands elsewhere is not kept.

        Raises
        ------
        ValueError
            If the store was opened with `read`, or shapes do not fit, or a value is not finite.
        OSError
            If the disk is full or fails; nothing of the batch is kept, all earlier ones are.
        """
        if self._own is None:
            raise ValueError(f"{self.folder} was opened to read: use SampleStore.open to record")
        rows: list[tuple[_rows.Key, bytes]] = []
        for (response, masks), value in zip(batch, values, strict=True):
            masks = _checked(response, masks)
            fresh = ~self.recall(model, response, masks)[1]
            masks, value = masks[fresh], np.asarray(value, float)[fresh]
            if value.shape != masks.shape or not np.isfinite(value[masks]).all():
                raise ValueError(f"log-probabilities must be finite and {masks.shape}, got shape {value.shape}")
            rows += zip(_rows.keys(model, response, masks), _rows.pack(masks, value), strict=True)
        with plainly(self._own.path):
            self._own.append(rows)

    def count(self) -> int:
        """Evaluations in the store, over all ranks, each once."""
        return len({key for file in self._files for key in file.all_keys()})

    def close(self) -> None:
        """Close the files and let the lock go."""
        self._held.close()

    def __enter__(self) -> SampleStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, keys: list[_rows.Key]) -> list[bytes | None]:
        found: list[bytes | None] = [None] * len(keys)
        for file in self._files:
            open_rows = [row for row, value in enumerate(found) if value is None]
            with plainly(file.path):
                for row, value in zip(open_rows, file.find([keys[row] for row in open_rows]), strict=True):
                    found[row] = value
        return found


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("store-*.sqlite"))


def _opened(stack: ExitStack, path: Path, *, write: bool = False) -> StoreFile:
    with plainly(path):
        return stack.enter_context(closing(StoreFile(path, write=write)))


def _checked(response: Response, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    masks = np.asarray(masks, bool)
    if masks.ndim != 2 or masks.shape[1] != response.length:
        raise ValueError(f"masks must be (n, {response.length}), got {masks.shape}")
    return masks
