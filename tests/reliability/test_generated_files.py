"""Preference files that nobody wrote: each is read whole or refused by file and line, never broken, cut or guessed."""

import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vrpo_theory.data import load_tokenizer, read_pairs
from vrpo_theory.errors import InputError

from .tried import count

VOCABULARY, MASK, LONGEST = 300, 264, 40
IDS = st.lists(st.integers(0, VOCABULARY - 1), max_size=12)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["<|mdm_mask|>", "<|eot_id|>", " ", "\0", "\x1b[31m", "[bold]", "\ud800", "\u2028", "é", "a\r\nb"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": TEXT})
KEYS = st.sampled_from(
    ["prompt", "chosen", "rejected", "prompt_ids", "chosen_ids", "rejected_ids", "id", "messages", "tools", "label"]
)
TURNS = TEXT | st.lists(MESSAGE, max_size=3)
ROWS = st.one_of(
    st.fixed_dictionaries({"prompt_ids": IDS, "chosen_ids": IDS, "rejected_ids": IDS}, optional={"id": TEXT}),
    st.fixed_dictionaries({"prompt": TURNS, "chosen": TURNS, "rejected": TURNS}, optional={"id": JSON}),
    st.fixed_dictionaries({"chosen": TURNS, "rejected": TURNS}),
    st.dictionaries(KEYS | TEXT, TURNS | IDS | JSON, max_size=5),
    JSON,
)
LINES = ROWS.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=30)
DAMAGE = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=3)), max_size=2)
FILES = st.builds(
    lambda lines, end, damage: spoilt(end.join(lines) + end, damage),
    st.lists(LINES, max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b",\n", b""]),
    DAMAGE,
)


def spoilt(content, damage):
    """Bytes with others put in here and there."""
    for place, more in damage:
        at = place % (len(content) + 1)
        content = content[:at] + more + content[at + len(more) // 2 :]
    return content


def plain(line):
    """Whether a line is an ordinary row of ids, by rules written apart from the reader's."""
    row = json.loads(line)
    prompt, chosen, rejected = (row[f"{name}_ids"] for name in ("prompt", "chosen", "rejected"))
    return (
        bool(chosen and rejected and chosen != rejected)
        and MASK not in prompt + chosen + rejected
        and len(prompt) + max(len(chosen), len(rejected)) <= LONGEST
    )


@pytest.fixture(scope="module")
def tokenizer(llada_folder):
    return load_tokenizer(llada_folder)


def read(path, tokenizer):
    """Pairs, and what is said against the file; one of the two is empty."""
    bounds = {"vocabulary": VOCABULARY, "mask_token_id": MASK, "max_length": LONGEST}
    try:
        return read_pairs(path, tokenizer=tokenizer, **bounds), ""
    except InputError as error:
        return [], str(error)


def check(path, content, tokenizer):
    """A file is read, or every line of its refusal names it and holds nothing that a terminal would obey."""
    path.write_bytes(content)
    count("preference files tried")
    pairs, refusal = read(path, tokenizer)
    if refusal:
        assert all(line.startswith((str(path), "... and ")) for line in refusal.split("\n")), refusal
    elif content[:1] not in (b"[", b" ", b"\t", b"\r"):  # one pair for each row, none left out
        assert len(pairs) == len(content.removesuffix(b"\n").split(b"\n"))


def check_ids(path, rows, tokenizer):
    """Rows of ids are read as they are, exactly where all of them are ordinary and no two say the same."""
    lines = [json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines))
    count("rows tried", len(rows))
    ordinary = all(map(plain, lines)) and len(set(lines)) == len(lines) > 0
    pairs, refusal = read(path, tokenizer)
    assert ordinary != bool(refusal), refusal
    found = [(p.chosen.prompt, p.chosen.ids, p.rejected.ids) for p in pairs]
    assert refusal or found == [tuple(tuple(row[f"{k}_ids"]) for k in ("prompt", "chosen", "rejected")) for row in rows]


OPTIONS = {
    "deadline": None, "derandomize": True, "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}  # fmt: skip
SIZES = [150, pytest.param(10_000, marks=pytest.mark.soak)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", SIZES)
def test_files_are_read_whole_or_refused_by_line(tmp_path, tokenizer, number):
    path = tmp_path / "pairs.jsonl"
    settings(max_examples=number, **OPTIONS)(given(FILES)(lambda content: check(path, content, tokenizer)))()


ID_ROWS = st.lists(st.fixed_dictionaries({f"{k}_ids": IDS for k in ("prompt", "chosen", "rejected")}), max_size=3)


@pytest.mark.parametrize("number", SIZES)
def test_rows_of_ids_are_read_as_they_are_or_refused_for_a_reason(tmp_path, tokenizer, number):
    path = tmp_path / "pairs.jsonl"
    settings(max_examples=number, **OPTIONS)(given(ID_ROWS)(lambda rows: check_ids(path, rows, tokenizer)))()


def test_letters_are_what_they_were(tmp_path, tokenizer):
    """A reader that loses a character would score another text."""
    text = string.printable.replace("\0", "") + "é€😀"
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "q", "chosen": text, "rejected": "no"}))
    (pair,) = read_pairs(path, tokenizer=tokenizer)
    assert tokenizer.decode(pair.chosen.ids).startswith(text.strip())
