"""Results as tables of rows, for pandas and as CSV: a row per pair, cell or candidate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory.documents import Document, Fields
from vrpo_theory.errors import InputError

if TYPE_CHECKING:
    import pandas

ROWS = ("pairs", "ranking", "cells")
"""Where the documents of commands keep their rows."""


def frame(document: Fields) -> pandas.DataFrame:
    """A pandas frame of a command's JSON: pairs of ``score``, candidates of ``plan``, cells of ``audit`` or an exhibit.

    Parameters
    ----------
    document : mapping
        What ``--json`` prints, or a file of results holds. Of ``vrpo reproduce --json`` all exhibits come together,
        told apart by the column ``exhibit``.

    Returns
    -------
    DataFrame
        Nested values have names such as ``column.model`` and ``elbo.policy_chosen``.

    Raises
    ------
    InputError
        If the document is no result.

    Examples
    --------
    >>> from vrpo_theory import EXHIBITS
    >>> from vrpo_theory.reproduce import Context
    >>> found = frame({"cells": EXHIBITS["consistency"].documents(Context())})
    >>> found.loc[found["row"] == "v_time", "value"].round(1).item()  # nats squared
    7.8
    """
    from pandas import DataFrame

    return DataFrame(rows(document))


def rows(document: Fields) -> list[Document]:
    """Rows of a document, each flat."""
    if "exhibits" in document:
        parts = document["exhibits"].items()
        return [{"exhibit": name, **row} for name, part in parts for row in rows(part)]
    for key in ROWS:
        if isinstance(document.get(key), Sequence):
            return [dict(_flat(row)) for row in document[key]]
    raise InputError(f"no result: expected one of the keys exhibits, {', '.join(ROWS)}, got {sorted(document)[:5]}")


def as_csv(document: Fields) -> str:
    """The rows as CSV; what is None is empty."""
    found = rows(document)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in found for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()


def _flat(value: Fields, before: str = "") -> Iterator[tuple[str, Any]]:
    for key, part in value.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{before}{key}.")
        elif isinstance(part, list | tuple):
            yield from _flat({str(k): item for k, item in enumerate(part)}, f"{before}{key}.")
        else:
            yield f"{before}{key}", part
