"""Tables as plain text: whole numbers at any width, and names that are never read as markup."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence

GAP = "  "
SHORTEST = 12
"""Characters that a shortened name keeps, however narrow the terminal."""


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    labels: int = 1,
    left: Collection[int] = (),
    width: int | None = None,
) -> str:
    """Text of a table; columns that do not fit side by side follow in blocks, each with the labels of its rows.

    Parameters
    ----------
    header, rows : sequence of str, sequence of sequence of str
        One text per column; control characters are shown as escapes.
    title : str
        Stands above, wrapped.
    labels : int
        How many of the first columns name a row: aligned left, repeated in each block. The first may be shortened in
        its middle, and stays unique; nothing else is ever cut.
    left : collection of int
        Other columns that are aligned left, as words are.
    width : int or None
        Most characters per line, as `terminal_width` gives them; None for as many as needed.
    """
    columns = [[visible(cell) for cell in column] for column in zip(header, *rows, strict=True)]
    widths = [max(map(_cells, column)) for column in columns]
    if width is not None and labels:
        columns[0] = _shortened(columns[0], _room(widths, labels, width))
        widths[0] = max(map(_cells, columns[0]))
    aligned_left = {*range(labels), *left}
    head, *lines = [_line(row, widths, aligned_left) for row in zip(*columns, strict=True)]
    blocks = list(_blocks(widths, labels, width))
    text = [_joined([head, ["-" * w for w in widths], *_told(lines, block[labels:], blocks)], block)
            for block in blocks]  # fmt: skip
    return "\n".join(filter(None, [wrapped(title, width), "\n\n".join(text)]))


def terminal_width() -> int | None:
    """Characters per line of the terminal; None where standard output is a file or a pipe."""
    stream = sys.stdout
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None


def wrapped(text: str, width: int | None = None) -> str:
    """A paragraph broken between words; words are never broken."""
    if width is None:
        return visible(text)
    return "\n".join(textwrap.wrap(visible(text), width, break_long_words=False, break_on_hyphens=False))


def visible(text: str) -> str:
    """The text with line breaks, control characters and lone surrogates as escapes, such as ``\\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and end with dots between, in at most ``most`` characters of a terminal."""
    from rich.cells import set_cell_size

    if _cells(text) <= most:
        return text
    end = (most - 3) // 2
    return f"{set_cell_size(text, most - 3 - end)}...{set_cell_size(text[::-1], end)[::-1]}"


def _cells(text: str) -> int:
    """Characters of a terminal that a text takes: two for a Chinese one."""
    from rich.cells import cell_len

    return cell_len(text)


def _room(widths: Sequence[int], labels: int, width: int) -> int:
    """What is left for the first label beside the widest column, and at most half a line."""
    others = sum(widths[1:labels]) + max(widths[labels:], default=0) + len(GAP) * labels
    return max(SHORTEST, min(width - others, width // 2))


def _shortened(names: Sequence[str], most: int) -> list[str]:
    """Each name in at most ``most`` characters; where two would look the same, all are numbered."""
    short = [shortened(name, most) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    return [short[0], *(f"{k} {shortened(n, most - 1 - len(str(k)))}" for k, n in enumerate(names[1:], 1))]


def _line(row: Sequence[str], widths: Sequence[int], aligned_left: Collection[int]) -> list[str]:
    spaces = [" " * (width - _cells(cell)) for cell, width in zip(row, widths, strict=True)]
    return [c + s if k in aligned_left else s + c for k, (c, s) in enumerate(zip(row, spaces, strict=True))]


def _joined(lines: Sequence[Sequence[str]], block: Sequence[int]) -> str:
    return "\n".join(GAP.join(line[k] for k in block).rstrip() for line in lines)


def _told(lines: list[list[str]], columns: Sequence[int], blocks: Sequence[Sequence[int]]) -> list[list[str]]:
    """Rows that have something to say in these columns; all of them where nothing was broken into blocks."""
    return lines if len(blocks) == 1 else [line for line in lines if any(line[k].strip() for k in columns)]


def _blocks(widths: Sequence[int], labels: int, width: int | None) -> Iterator[list[int]]:
    """Columns that stand side by side: the labels, and as many others as a line takes, one at least."""
    block = list(range(labels))
    for k in range(labels, len(widths)):
        used = sum(widths[j] + len(GAP) for j in block)
        if width is not None and len(block) > labels and used + widths[k] > width:
            yield block
            block = list(range(labels))
        block.append(k)
    yield block
