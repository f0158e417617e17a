"""Rows that must not pass: each is refused with its line and its reason, and none hides another."""

import codecs
import json
import random
from functools import partial

import pytest

from vrpo_theory.data import BadRows, read_pairs
from vrpo_theory.errors import InputError

VOCABULARY = 500
MASK = 264  # <|mdm_mask|> in the tokenizer of these tests
USER = {"role": "user", "content": "Which?"}
ANSWER = {"role": "assistant", "content": "This."}


def ids(drop=(), **changes):
    row = {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5], **changes}
    return {key: value for key, value in row.items() if key not in drop}


def text(drop=(), **changes):
    row = {"prompt": "Which?", "chosen": "This.", "rejected": "That.", **changes}
    return {key: value for key, value in row.items() if key not in drop}


def chat(*prompt, chosen="This."):
    return text(prompt=list(prompt), chosen=chosen)


def raw(row):
    return json.dumps(row).encode()


FIRST = ids(id="first", prompt_ids=[1], chosen_ids=[2], rejected_ids=[3])
LAST = ids(id="last", prompt_ids=[1], chosen_ids=[4], rejected_ids=[3])

MALFORMED = {
    # lines
    "blank line": (b"", "blank line"),
    "line of spaces": (b"  \t", "blank line"),
    "byte order mark": (codecs.BOM_UTF8 + raw(ids()), "save as UTF-8 without BOM"),
    "Latin-1": ('{"prompt": "é"}'.encode("latin-1"), "not UTF-8 at byte 13"),
    "UTF-16": (json.dumps(ids()).encode("utf-16")[2:], "NUL at byte 2"),
    "NUL byte": (raw(ids()) + b"\0", "NUL at byte"),
    # JSON
    "not JSON": (b"prompt,chosen,rejected", "not JSON (column 1"),
    "truncated": (raw(ids())[:-10], "not JSON"),
    "trailing garbage": (raw(ids()) + b" x", "Extra data"),
    "two objects": (raw(ids()) + raw(ids()), "Extra data"),
    "single quotes": (b"{'prompt': 'a'}", "not JSON"),
    "trailing comma": (raw(ids())[:-1] + b",}", "not JSON"),
    "array": (b"[1, 2]", "expected an object"),
    "number": (b"7", "expected an object"),
    "string": (b'"prompt"', "expected an object"),
    "null": (b"null", "expected an object"),
    "NaN": (raw(ids(score=float("nan"))), "NaN is not JSON"),
    "Infinity": (raw(ids(score=float("inf"))), "Infinity is not JSON"),
    "-Infinity": (raw(ids(score=float("-inf"))), "-Infinity is not JSON"),
    "duplicate key": (raw(ids())[:-1] + b', "chosen_ids": [9]}', "key 'chosen_ids' occurs twice"),
    "duplicate nested key": (b'{"prompt": [{"role": "user", "role": "system"}]}', "key 'role' occurs twice"),
    "deep nesting": (b"[" * 100_000, "nested too deeply"),
    "integer of 5000 digits": (b'{"prompt_ids": [' + b"9" * 5000 + b"]}", "thousands of digits"),
    # keys
    "no keys": ({}, "missing prompt, chosen, rejected"),
    "other columns only": ({"question": "a", "answer": "b"}, "missing prompt, chosen, rejected"),
    "no prompt": (text(drop=["prompt"]), "missing prompt"),
    "no chosen": (text(drop=["chosen"]), "missing chosen"),
    "no rejected": (text(drop=["rejected"]), "missing rejected"),
    "no prompt_ids": (ids(drop=["prompt_ids"]), "missing prompt_ids"),
    "no chosen_ids": (ids(drop=["chosen_ids"]), "missing chosen_ids"),
    "no rejected_ids": (ids(drop=["rejected_ids"]), "missing rejected_ids"),
    "text and ids": ({**text(), **ids()}, "both text"),
    "some text among ids": (ids(prompt="Which?"), "both text (prompt) and ids"),
    # pair ids
    "float id": (ids(id=1.0), "id must be text, got 1.0"),
    "bool id": (ids(id=True), "id must be text, got True"),
    "null id": (ids(id=None), "id must be text, got None"),
    "list id": (ids(id=["a"]), "id must be text"),
    "empty id": (ids(id=""), "id is empty"),
    "repeated id": (ids(id="first"), "id 'first' already on line 1"),
    "repeated content": ({**FIRST, "id": "other"}, "same prompt, chosen and rejected already on line 1"),
    # token ids
    "prompt_ids a string": (ids(prompt_ids="1 2"), "prompt_ids must be a list"),
    "chosen_ids null": (ids(chosen_ids=None), "chosen_ids must be a list"),
    "rejected_ids a number": (ids(rejected_ids=5), "rejected_ids must be a list"),
    "chosen_ids an object": (ids(chosen_ids={"0": 1}), "chosen_ids must be a list"),
    "chosen_ids empty": (ids(chosen_ids=[]), "chosen_ids is empty"),
    "rejected_ids empty": (ids(rejected_ids=[]), "rejected_ids is empty"),
    "negative token": (ids(chosen_ids=[3, -1]), "chosen_ids[1] must be a token id"),
    "float token": (ids(chosen_ids=[3.0]), "chosen_ids[0] must be a token id"),
    "bool token": (ids(rejected_ids=[True]), "rejected_ids[0] must be a token id"),
    "null token": (ids(prompt_ids=[1, None]), "prompt_ids[1] must be a token id"),
    "string token": (ids(prompt_ids=["1"]), "prompt_ids[0] must be a token id"),
    "nested tokens": (ids(chosen_ids=[[3, 4]]), "chosen_ids[0] must be a token id"),
    "token above int64": (ids(chosen_ids=[2**63]), "chosen_ids[0] must be a token id"),
    "token at the vocabulary": (ids(chosen_ids=[VOCABULARY]), "chosen holds token 500 of a vocabulary of 500"),
    "prompt token above": (ids(prompt_ids=[10**9]), "prompt holds token 1000000000"),
    "mask token in a response": (ids(rejected_ids=[5, MASK]), "rejected holds the mask token 264 at position 1"),
    "mask token in the prompt": (ids(prompt_ids=[MASK]), "prompt holds the mask token"),
    "chosen equals rejected": (ids(rejected_ids=[3, 4]), "chosen equals rejected"),
    "over-long chosen": (ids(chosen_ids=[3] * 199), "prompt of 2 and chosen of 199 tokens exceed max_length 200"),
    "over-long rejected": (ids(rejected_ids=[3] * 199), "rejected of 199 tokens exceed"),
    # text
    "prompt a number": (text(prompt=3), "prompt must be text, got 3"),
    "prompt an object": (text(prompt=USER), "prompt must be text"),
    "chosen null": (text(chosen=None), "chosen must be text, got None"),
    "rejected a bool": (text(rejected=False), "rejected must be text"),
    "empty prompt": (text(prompt=""), "prompt is empty"),
    "empty chosen": (text(chosen=""), "chosen is empty"),
    "whitespace rejected": (text(rejected=" \n\t "), "rejected is whitespace only"),
    "escaped NUL": (text(chosen="a\0b"), "chosen holds a NUL"),
    "lone surrogate": (text(chosen="a\ud800"), "surrogate"),
    "same text": (text(rejected="This."), "chosen equals rejected"),
    "mask token in an answer": (text(chosen="This <|mdm_mask|>"), "chosen holds the mask token 264"),
    "mask token in a question": (text(prompt="What is <|mdm_mask|>?"), "prompt holds the mask token"),
    "over-long text": (text(rejected="That. " * 100), "rejected of 600 tokens exceed max_length"),
    # messages
    "no messages": (chat(), "prompt is an empty list"),
    "a column of texts": (chat("Which?"), "prompt is a list of texts"),
    "a text among messages": (chat(USER, "Which?"), "prompt[1] must be a message"),
    "no role": (chat({"content": "Which?"}), "prompt[0] has no role"),
    "no content": (chat({"role": "user"}), "prompt[0] has no content"),
    "unknown role": (chat({"role": "human", "content": "Which?"}), "has the role 'human'"),
    "role a list": (chat({"role": ["user"], "content": "Which?"}), "has the role ['user']"),
    "content in parts": (chat({"role": "user", "content": [{"type": "text"}]}), "prompt[0].content must be text"),
    "content null": (chat(USER, ANSWER, {"role": "user", "content": None}), "prompt[2].content must be text"),
    "content empty": (chat({"role": "user", "content": ""}), "prompt[0].content is empty"),
    "prompt ends with the assistant": (chat(USER, ANSWER), "prompt must end with a user message"),
    "prompt ends with the system": (chat({"role": "system", "content": "Be brief."}), "end with a user message"),
    "no answer": (chat(USER, chosen=[]), "chosen is an empty list"),
    "prompt without an answer": (chat(USER, chosen=[USER]), "got nothing"),
    "another prompt": (
        chat(USER, chosen=[{**USER, "content": "Who?"}, ANSWER]),
        "differ at message 0",
    ),
    "answer by the user": (chat(USER, chosen=[USER, USER]), "got user"),
    "two answers": (chat(USER, chosen=[ANSWER, ANSWER]), "got assistant, assistant"),
}


@pytest.fixture(scope="module")
def read(llada):
    return partial(read_pairs, tokenizer=llada, vocabulary=VOCABULARY, mask_token_id=MASK, max_length=200)


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_row_is_refused_with_its_line_and_reason(write, read, kind):
    row, reason = MALFORMED[kind]
    path = write(FIRST, row, LAST)
    with pytest.raises(BadRows) as caught:
        read(path)
    (refusal,) = str(caught.value).splitlines()
    assert refusal.startswith(f"{path}:2: ")
    assert reason in refusal


def test_all_bad_rows_are_reported_together(write, read):
    with pytest.raises(BadRows) as caught:
        read(write(FIRST, b"", LAST, ids(chosen_ids=[]), b"[]"))
    assert [line for line, _ in caught.value.reasons] == [2, 4, 5]
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(("rows", "rest"), [(20, []), (23, ["... and 3 more"])])
def test_the_report_shows_twenty_rows_and_counts_the_rest(write, rows, rest):
    with pytest.raises(BadRows) as caught:
        read_pairs(write(*[b"{}"] * rows))
    assert str(caught.value).splitlines()[20:] == rest
    assert len(caught.value.reasons) == rows


def damage(good, rng):
    damaged = bytearray(good)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.choice(b'\0\n\r"[]{},:-.0e9\\u\xff ')
    return bytes(damaged)


def refusal(read, path):
    """What reading says against a file; empty if it is read."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return ""


def test_a_damaged_file_is_read_or_refused_but_never_breaks(tmp_path, read):
    rng = random.Random(0)
    path = tmp_path / "pairs.jsonl"
    good = b"\n".join(map(raw, (FIRST, text(), chat(USER, chosen=[USER, ANSWER]), LAST)))
    refusals = []
    for _ in range(400):
        path.write_bytes(damage(good, rng))
        refusals.append(refusal(read, path))
    assert {line.partition(":")[0] for text in refusals for line in text.splitlines()} == {str(path)}
    assert sum(map(bool, refusals)) > 200
