"""Long rows are cut only where that was asked for, by a stated rule, and never to nothing."""

import pytest

from vrpo_theory.data import BadRows, read_pairs
from vrpo_theory.data.tokens import TokenRow
from vrpo_theory.data.truncation import Truncation
from vrpo_theory.errors import InputError

LONG = {"prompt_ids": list(range(10)), "chosen_ids": [20, 21, 22, 23], "rejected_ids": [30, 31]}


def row(prompt, chosen, rejected):
    return TokenRow(tuple(range(prompt)), tuple(range(100, 100 + chosen)), tuple(range(200, 200 + rejected)))


def lengths(row):
    return len(row.prompt), len(row.chosen), len(row.rejected)


def test_a_long_row_is_refused_unless_truncation_is_asked_for(write):
    with pytest.raises(BadRows, match="prompt of 10 and chosen of 4 tokens exceed max_length 12"):
        read_pairs(write(LONG), max_length=12)


def test_the_prompt_gives_way_first_and_from_its_left_end(write):
    with pytest.warns(UserWarning, match="1 of 2 rows cut to 12 tokens: prompts lost 2 tokens at the"):
        pair, short = read_pairs(write(LONG, {**LONG, "prompt_ids": [9]}), max_length=12, truncate=True)
    assert pair.chosen.prompt == tuple(range(2, 10))
    assert (pair.chosen.ids, pair.rejected.ids) == ((20, 21, 22, 23), (30, 31))
    assert short.chosen.prompt == (9,)


def test_responses_give_way_from_their_right_end_once_the_prompt_is_at_half(write):
    with pytest.warns(UserWarning, match="prompts lost 7 tokens at the left, responses 1 at the right"):
        (pair,) = read_pairs(write(LONG), max_length=6, truncate=True)
    assert pair.chosen.prompt == pair.rejected.prompt == (7, 8, 9)
    assert (pair.chosen.ids, pair.rejected.ids) == ((20, 21, 22), (30, 31))


def test_a_cut_answer_does_not_end_its_turn(write, llada):
    text = {"prompt": "Which?", "chosen": "This one, of all that there are.", "rejected": "That."}
    (whole,) = read_pairs(write(text), tokenizer=llada)
    with pytest.warns(UserWarning, match="1 of 1 rows"):
        (pair,) = read_pairs(write(text), tokenizer=llada, max_length=40, truncate=True)
    end = llada.convert_tokens_to_ids("<|eot_id|>")
    assert end in whole.chosen.ids
    assert end not in pair.chosen.ids
    assert pair.chosen.ids == whole.chosen.ids[:20]
    assert pair.chosen.prompt == whole.chosen.prompt[-20:]
    assert pair.rejected.ids == whole.rejected.ids


@pytest.mark.parametrize("max_length", [1, 2, 3, 8, 13, 40])
@pytest.mark.parametrize("prompt", [0, 1, 9, 50])
@pytest.mark.parametrize(("chosen", "rejected"), [(1, 1), (1, 30), (7, 4), (60, 60)])
def test_rows_fit_keep_a_token_and_lose_no_more_than_they_must(max_length, prompt, chosen, rejected):
    """Seen at https://github.com/huggingface/trl/issues/6668, https://github.com/huggingface/trl/issues/6548."""
    cut = Truncation(max_length)
    before = row(prompt, chosen, rejected)
    after = cut(before)
    p, c, r = lengths(after)
    assert c >= 1
    assert r >= 1
    assert p + max(c, r) <= max_length
    assert after.prompt == before.prompt[prompt - p :]
    assert (after.chosen, after.rejected) == (before.chosen[:c], before.rejected[:r])
    if after == before:
        assert (cut.rows, cut.prompt_tokens, cut.response_tokens) == (0, 0, 0)
    else:
        assert p + max(c, r) == max_length
        assert p >= min(prompt, max_length // 2)
    assert (cut.prompt_tokens, cut.response_tokens) == (prompt - p, chosen - c + rejected - r)
    assert cut(after) == after
    assert cut.rows == (after != before)


def test_nothing_is_said_where_nothing_is_cut(write, recwarn):
    assert read_pairs(write(LONG), max_length=14, truncate=True) == read_pairs(write(LONG))
    assert not recwarn


def test_responses_that_differ_only_in_what_is_cut_are_refused(write):
    same = {**LONG, "chosen_ids": [20, 21, 22, 23], "rejected_ids": [20, 21, 22, 33]}
    with pytest.raises(BadRows, match=":1: chosen and rejected agree in their first 3 tokens, all that is kept"):
        read_pairs(write(same), max_length=6, truncate=True)


def test_truncation_needs_a_length(write):
    with pytest.raises(InputError, match="truncate needs max_length"):
        read_pairs(write(LONG), truncate=True)
