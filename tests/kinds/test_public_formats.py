"""Preference rows in the forms in which they are published, in the files in which they are kept."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import threading
import types
from pathlib import Path

import pytest

from vrpo_theory.data import BadRows, lines, read_pairs
from vrpo_theory.errors import InputError

HI = {"role": "user", "content": "Hi"}
MORE = {"role": "user", "content": "more"}
SYSTEM = {"role": "system", "content": "Be brief."}
YO, NO = ({"role": "assistant", "content": word} for word in ("yo", "no"))
PLAIN = {"prompt": "Hi", "chosen": "yo", "rejected": "no"}
HUMAN, ASSISTANT = "\n\nHuman: Hi", "\n\nAssistant:"
CALL = {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}
TOOL = {"role": "tool", "content": "yes"}
SAME = {
    "implicit messages": {"chosen": [HI, YO], "rejected": [HI, NO]},
    "whole conversations": {"prompt": "Hi", "chosen": [HI, YO], "rejected": [HI, NO]},
    "hh text": {"chosen": HUMAN + ASSISTANT + " yo", "rejected": HUMAN + ASSISTANT + " no"},
    "hh text with its prompt": {"prompt": HUMAN + ASSISTANT, "chosen": " yo", "rejected": " no"},
    "hh text that repeats its prompt": {"prompt": HUMAN + ASSISTANT, "chosen": HUMAN + ASSISTANT + " yo",
                                        "rejected": HUMAN + ASSISTANT + " no"},
    "hh text without its first line breaks": {"prompt": (HUMAN + ASSISTANT).strip(), "chosen": "yo", "rejected": "no"},
    "hh answers without their first line breaks": {"chosen": (HUMAN + ASSISTANT + " yo").strip(),
                                                   "rejected": (HUMAN + ASSISTANT + " no").strip()},
    "one part of text": {"prompt": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
                         "chosen": [YO], "rejected": [NO]},
    "an empty system column": PLAIN | {"system": ""},
    "nulls of a table": {"prompt": [HI | {"tool_calls": None}], "chosen": [YO | {"name": None}], "rejected": [NO]},
    "other columns": PLAIN | {"score_chosen": 7.5, "prompt_id": "x", "messages": [HI, YO]},
}  # fmt: skip
LONGER = {
    "implicit": {"chosen": [SYSTEM, HI, YO, MORE, NO], "rejected": [SYSTEM, HI, YO, MORE, YO]},
    "string prompt": {"prompt": "Hi", "chosen": [SYSTEM, HI, YO, MORE, NO], "rejected": [SYSTEM, HI, YO, MORE, YO]},
    "last question as prompt": {"prompt": "more", "chosen": [SYSTEM, HI, YO, MORE, NO],
                                "rejected": [SYSTEM, HI, YO, MORE, YO]},
    "messages, then the rest": {"prompt": [SYSTEM, HI], "chosen": [YO, MORE, NO], "rejected": [YO, MORE, YO]},
    "system column": {"system": "Be brief.", "prompt": [HI, YO, MORE], "chosen": "no", "rejected": "yo"},
    "hh text after a system message": {side: f"Be brief.{HUMAN}{ASSISTANT} yo\n\nHuman: more{ASSISTANT} {words}"
                                       for side, words in (("chosen", "no"), ("rejected", "yo"))},
    "hh prompt after a system message": {"prompt": f"Be brief.{HUMAN}{ASSISTANT} yo\n\nHuman: more{ASSISTANT}",
                                         "chosen": " no", "rejected": " yo\n"},
}  # fmt: skip


def read_one(path, words):
    (pair,) = read_pairs(path, tokenizer=words)
    return pair.chosen, pair.rejected


@pytest.mark.parametrize("kind", SAME)
def test_forms_of_one_row(write, tokenizer, kind):
    """github.com/modelscope/ms-swift/issues/2399, github.com/huggingface/trl/issues/1886."""
    words = tokenizer()
    assert read_one(write(SAME[kind]), words) == read_one(write(PLAIN), words)


@pytest.mark.parametrize("kind", LONGER)
def test_of_a_conversation_the_last_turn_is_scored(write, tokenizer, kind):
    words = tokenizer()
    chosen, rejected = read_one(write(LONGER[kind]), words)
    whole = words.apply_chat_template([SYSTEM, HI, YO, MORE], add_generation_prompt=True, tokenize=False)
    assert words.decode(list(chosen.prompt)) == whole
    assert [words.decode(list(side.ids)) for side in (chosen, rejected)] == ["no<|eot_id|>", "yo<|eot_id|>"]


def test_an_implicit_prompt_of_strings_ends_with_a_whole_word(write, tokenizer):
    words = tokenizer("")
    row = {"chosen": "The sky is blue.", "rejected": "The sky is black."}
    chosen, rejected = read_one(write(row), words)
    assert words.decode(list(chosen.prompt)) == "The sky is"
    assert [words.decode(list(side.ids)) for side in (chosen, rejected)] == [" blue.", " black."]


def test_hh_text_stays_text_without_a_template(write, tokenizer):
    words = tokenizer("")
    chosen, _ = read_one(write(SAME["hh text"]), words)
    assert words.decode(list(chosen.prompt)) == HUMAN + ASSISTANT
    assert words.decode(list(chosen.ids)) == " yo"


def test_tools_may_have_answered(write, tokenizer):
    template = (
        "{% for m in messages %}{{m.role + ':' + (m.content or m.tool_calls | tojson) + '<|eot_id|>'}}{% endfor %}"
    )
    words = tokenizer(template + "{% if add_generation_prompt %}assistant:{% endif %}")
    chosen, _ = read_one(write({"prompt": "Hi", "chosen": [CALL, TOOL, YO], "rejected": [CALL, TOOL, NO]}), words)
    assert '"name": "f"' in words.decode(list(chosen.prompt))
    assert words.decode(list(chosen.ids)) == "yo<|eot_id|>"


REFUSED = {
    "unpaired": ({"prompt": "Hi", "completion": "yo", "label": True}, "an unpaired row (completion)"),
    "one conversation": ({"messages": [HI, YO]}, "one conversation (messages)"),
    "ShareGPT": ({"prompt": [{"from": "human", "value": "Hi"}], "chosen": "yo", "rejected": "no"}, "ShareGPT's words"),
    "nothing in common": ({"chosen": "yo", "rejected": "no"}, "do not begin with one"),
    "one begins the other": ({"chosen": "The", "rejected": "The sky"}, "do not begin with one"),
    "other questions": ({"chosen": [HI, YO], "rejected": [MORE, NO]}, "differ at message 0, before their last turn"),
    "another field": (
        {"chosen": [HI | {"name": "A"}, YO], "rejected": [HI | {"name": "B"}, NO]},
        "differ at message 0, before their last turn (in name)",
    ),
    "another field of the prompt": (
        {"prompt": [HI | {"name": "A"}], "chosen": [HI, YO], "rejected": [HI, NO]},
        "prompt and chosen differ at message 0, before their last turn (in name)",
    ),
    "other words before hh text": (
        {"chosen": f"Be A.{HUMAN}{ASSISTANT} yo", "rejected": f"Be B.{HUMAN}{ASSISTANT} no"},
        "differ before their last turn",
    ),
    "two systems around hh text": (PLAIN | {"system": "a", "prompt": f"b{HUMAN}{ASSISTANT}"}, "two system prompts"),
    "other lengths": ({"chosen": [HI, YO, MORE, NO], "rejected": [HI, NO]}, "before their last turn"),
    "an open answer": ({"prompt": [HI, YO], "chosen": "a", "rejected": "b"}, "prompt must end with a user message"),
    "hh without an answer": ({"chosen": HUMAN, "rejected": HUMAN}, "must end with the Assistant"),
    "two systems": (PLAIN | {"system": "a", "prompt": [SYSTEM, HI]}, "two system prompts"),
    "answers alone": ({"chosen": [YO], "rejected": [NO]}, "missing prompt"),
    "a picture": ({**PLAIN, "prompt": [{"role": "user", "content": [{"type": "image"}]}]}, "content must be text"),
    "a table of columns": ({"prompt": ["Hi"], "chosen": ["yo"], "rejected": ["no"]}, "is a list of texts"),
    "tools as a word": (PLAIN | {"tools": "search"}, "tools must be a list"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_forms_are_refused_by_name(write, tokenizer, kind):
    row, reason = REFUSED[kind]
    with pytest.raises(BadRows) as caught:
        read_pairs(write(row), tokenizer=tokenizer())
    assert reason in str(caught.value)


ROWS = [{"prompt_ids": [1], "chosen_ids": [2, i], "rejected_ids": [3]} for i in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zst(data):
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.compress(data, "zstd", asbytes=True)


def members(pack):
    """Two, cut inside of a row, with padding."""
    return pack(LINES[:50]) + bytes(4) + pack(LINES[50:]) + bytes(8)


FILES = {
    "gzip": lambda: gzip.compress(LINES),
    "bz2": lambda: bz2.compress(LINES),
    "xz": lambda: lzma.compress(LINES),
    "zst": lambda: zst(LINES),
    "members of gzip": lambda: members(gzip.compress),
    "members of bz2": lambda: members(bz2.compress),
    "members of xz": lambda: members(lzma.compress),
    "array": lambda: json.dumps(ROWS).encode(),
    "pretty array": lambda: b"\n " + json.dumps(ROWS, indent=2).encode() + b"\n",
    "packed array": lambda: gzip.compress(json.dumps(ROWS).encode()),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_are_read_in_any_packing(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(lines, "CHUNK", 7)  # the smallest pieces: none may be cut in the wrong place
    path = tmp_path / "pairs.json"
    path.write_bytes(FILES[kind]())
    assert [pair.chosen.ids for pair in read_pairs(path)] == [(2, i) for i in range(3)]


def test_a_pipe_and_standard_input_are_read(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(LINES),))
    writer.start()
    assert len(read_pairs(pipe)) == 3
    writer.join()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(LINES))))
    assert len(read_pairs("-")) == 3


@pytest.mark.parametrize("kind", FILES)
def test_a_slow_pipe_is_what_its_bytes_say(tmp_path, kind):
    """A pipe may hand out fewer bytes than were asked for."""
    data, (out, into) = FILES[kind](), os.pipe()

    def drip():
        with os.fdopen(into, "wb", buffering=0) as file:
            for byte in data:
                file.write(bytes([byte]))

    writer = threading.Thread(target=drip)
    writer.start()
    assert len(read_pairs(f"/dev/fd/{out}")) == 3
    writer.join()
    os.close(out)


ALIEN = {
    "compressed twice": gzip.compress(gzip.compress(LINES)),
    "a UTF-16 file": LINES.decode().encode("utf-16"),
    "a zip file": b"PK\x05\x06" + bytes(18),
    "a Git LFS pointer file": b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n",
    "damaged or cut short": gzip.compress(LINES)[:-9],
    "it holds no rows": gzip.compress(b""),
}


@pytest.mark.parametrize("reason", ALIEN)
def test_other_files_are_named_by_what_they_are(tmp_path, reason):
    (tmp_path / "pairs").write_bytes(ALIEN[reason])
    with pytest.raises(InputError, match=reason):
        read_pairs(tmp_path / "pairs")


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zst"])
def test_what_follows_compressed_data_is_not_passed_over(tmp_path, kind):
    path, packed = tmp_path / "pairs", FILES[kind]()
    damaged = packed[: len(packed) // 2] + b"?" * 40
    for more, reason in ((b"{}\n", "bytes after the end of the compressed data"), (packed[:-3], "damaged or cut short"),
                         (bytes(4) + b"x", "bytes after the end"), (damaged, "damaged or cut short")):  # fmt: skip
        path.write_bytes(packed + more)
        with pytest.raises(InputError, match=reason):
            read_pairs(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://huggingface.co/datasets/Intel/orca_dpo_pairs/resolve/main/orca_rlhf.jsonl", "an address is not read"),
        ("x" * 300, "File name too long"),
        ("nowhere.jsonl", "No such file or directory"),
    ],
    ids=["address", "long", "nowhere"],
)
def test_pairs_that_are_not_there_are_refused_in_the_system_s_words(vrpo, name, reason):
    model = Path(__file__).parents[1] / "data/cases/base/policy"
    result = vrpo("score", "--policy", model, "--reference", model, "--pairs", name)
    assert result.exit_code == 2
    assert reason in result.stderr


UNREAD = {"images": ["a.png"], "source": "web", "score": 0.5, "history": [], "functions": None}


@pytest.mark.parametrize("row", [PLAIN, ROWS[0] | {"tools": [], "id": 1}, SAME["implicit messages"]])
def test_columns_that_nobody_reads_are_named_once(write, tokenizer, recwarn, row):
    read_pairs(write(row), tokenizer=tokenizer())
    assert not recwarn
    path = write(row | UNREAD)
    read_pairs(path, tokenizer=tokenizer())
    assert [str(w.message) for w in recwarn] == [
        f"{path}: columns that are not read: images (1), source (1), score (1)"
    ]


def test_what_a_template_takes_is_not_read_beside_ids_or_rendered_text(write, recwarn, tokenizer):
    more = {"tools": [{"name": "f"}], "system": "Be brief."}
    read_pairs(write(ROWS[0] | more, ROWS[1] | more, ROWS[2]))
    read_pairs(write(PLAIN | more), tokenizer=tokenizer(), rendered=True)
    assert [str(w.message).rpartition(": ")[2] for w in recwarn] == ["tools (2), system (2)", "tools (1), system (1)"]


def test_standard_input_may_be_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        read_pairs("-")


def test_an_error_of_the_system_is_no_damage(tmp_path, monkeypatch):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BufferedReader(Broken())))
    with pytest.raises(InputError, match=r"^-: cannot be read \(Input/output error\)$"):
        read_pairs("-")


def test_rows_of_an_array_are_refused_by_number(tmp_path):
    path = tmp_path / "pairs.json"
    path.write_text(f'[{json.dumps(ROWS[0])}, {{"prompt": "a]", "source": "\\"[{{"}}, 7,\n{json.dumps(ROWS[1])}]')
    with pytest.raises(BadRows) as caught:
        read_pairs(path)
    assert [line.removeprefix(f"{path}:")[:16] for line in str(caught.value).splitlines()] == [
        "row 2: missing c", "row 3: expected ",
    ]  # fmt: skip


@pytest.mark.parametrize("spoil", [lambda a: b"[\x80" + a[1:], lambda a: a + b"\xff"], ids=["first", "last"])
def test_an_array_that_is_not_utf_8_is_refused_by_row(tmp_path, spoil):
    path = tmp_path / "pairs.json"
    path.write_bytes(spoil(json.dumps(ROWS[:2]).encode()))
    with pytest.raises(BadRows, match=":row 1: not UTF-8"):
        read_pairs(path)


def test_what_unpacks_to_an_endless_line_does_not_fill_memory(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(lines, "LINE_LIMIT", 1000)
    for name, start in (("line", b"{"), ("array", b"[")):
        path = tmp_path / name
        path.write_bytes(gzip.compress(start + b" " * (32 << 20)))
        tracemalloc.start()
        with pytest.raises(BadRows, match="longer than"):
            read_pairs(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 << 20


def test_parquet_and_saved_datasets_are_read(tmp_path, recwarn):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(ROWS)
    data.to_parquet(tmp_path / "pairs.parquet")
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "two")
    datasets.DatasetDict({"a": data, "b": data}).save_to_disk(tmp_path / "three")
    for name, rows in (("pairs.parquet", 3), ("one", 3), ("two", 3), ("two/test", 1)):
        assert len(read_pairs(tmp_path / name)) == rows
    assert [str(w.message) for w in recwarn if "its split train is read" in str(w.message)]
    datasets.DatasetDict({}).save_to_disk(tmp_path / "none")
    datasets.Dataset.from_list([]).save_to_disk(tmp_path / "empty")
    datasets.DatasetDict({"train": data, "test": data.select([])}).save_to_disk(tmp_path / "half")
    assert len(read_pairs(tmp_path / "half")) == 3
    for name, reason in (("three", "has the splits a, b: give the folder of one"), ("none", "without splits"),
                         ("empty", "it holds no rows"), ("half/test", "it holds no rows")):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            read_pairs(tmp_path / name)


@pytest.mark.parametrize("name", ["pairs.parquet", "saved"])
def test_without_the_extra_tables_say_what_to_install(tmp_path, monkeypatch, name):
    for module in ("pyarrow", "pyarrow.parquet", "datasets"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=r"pip install -e '\.\[datasets\]'"):
        read_pairs(tmp_path / name)
