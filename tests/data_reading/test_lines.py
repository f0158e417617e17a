"""Files and lines are read in bounded memory, or refused before they are parsed."""

import gzip
import json
import tracemalloc

import pytest

from vrpo_theory.data import BadRows, lines, read_pairs
from vrpo_theory.errors import InputError

ROW = {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5]}


def test_an_over_long_line_is_refused_and_those_after_it_keep_their_numbers(write, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 200)
    monkeypatch.setattr(lines, "CHUNK", 64)
    with pytest.raises(BadRows) as caught:
        read_pairs(write({**ROW, "source": "x" * 1000}, ROW, b"{}"))
    (first, reason), (second, _) = caught.value.reasons
    assert (first, second) == (1, 3)
    assert "longer than 200 bytes" in reason


def test_a_line_of_the_limit_is_read(write, monkeypatch):
    path = write(ROW)
    monkeypatch.setattr(lines, "LINE_LIMIT", path.stat().st_size)
    assert len(read_pairs(path)) == 1
    monkeypatch.setattr(lines, "LINE_LIMIT", path.stat().st_size - 1)
    with pytest.raises(BadRows, match="longer than"):
        read_pairs(path)


def test_an_over_long_line_is_not_held_in_memory(write, monkeypatch):
    monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
    path = write(b"x" * (32 << 20))
    tracemalloc.start()
    with pytest.raises(BadRows, match="longer than"):
        read_pairs(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_line_limit_is_100_megabytes():
    assert lines.LINE_LIMIT == 100_000_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it holds no rows"),
        (b"PK\x03\x04rest", "a zip file"),
        (b"PAR1rest", "cannot be read as Parquet"),
        (b"\x28\xb5\x2f\xfdrest", "damaged or cut short"),
        (gzip.compress(json.dumps(ROW).encode(), mtime=0)[:-12], "damaged or cut short"),
        (b"[1, 2", "row 2: the array is not closed"),
        (b"prompt,chosen,rejected\na,b,c\n", "comma- or tab-separated"),
        (b'{\n "prompt": "a"\n}\n', "an object over several lines"),
        (b"[]", "it holds no rows"),
    ],
)
def test_files_without_rows_of_text_are_refused(tmp_path, content, reason):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_pairs(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    for path, reason in ((tmp_path / "none.jsonl", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=reason):
            read_pairs(path)


def test_only_a_newline_ends_a_line(write):
    source = "\u2028\u2029\x85"  # ends of lines to str.splitlines
    line = json.dumps({**ROW, "source": source}, ensure_ascii=False).encode()
    assert len(read_pairs(write(line))) == 1
