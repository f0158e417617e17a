"""Good rows are read as they are written."""

import json
import subprocess
import sys

import pytest

from vrpo_theory.data import BadRows, read_pairs
from vrpo_theory.errors import InputError


def ids_row(**changes):
    return {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5], **changes}


def test_ids_are_taken_as_they_are(write):
    (pair,) = read_pairs(write(ids_row(rejected_ids=[0, 2**63 - 1])))
    assert (pair.chosen.prompt, pair.chosen.ids, pair.rejected.ids) == ((1, 2), (3, 4), (0, 2**63 - 1))


def test_the_prompt_ids_may_be_empty(write):
    (pair,) = read_pairs(write(ids_row(prompt_ids=[])))
    assert pair.chosen.prompt == pair.rejected.prompt == ()


def test_end_of_text_in_a_response_stays(write):
    """Seen at https://github.com/ZHZisZZ/dllm/issues/81, https://github.com/huggingface/trl/issues/1623,
    https://github.com/huggingface/trl/issues/6357.
    """
    end = 126081  # end of text and padding at once in LLaDA
    (pair,) = read_pairs(write(ids_row(chosen_ids=[7, end, end])), vocabulary=126464, mask_token_id=126336)
    assert pair.chosen.ids == (7, end, end)


def test_ids_default_to_line_numbers(write):
    rows = [ids_row(chosen_ids=[9]), ids_row(id="a"), ids_row(id=70, chosen_ids=[8])]
    assert [pair.id for pair in read_pairs(write(*rows))] == ["1", "a", "70"]


def test_other_columns_are_not_read(write):
    plain = read_pairs(write(ids_row()))
    assert read_pairs(write(ids_row(source="web", score=[1.5, None], metadata={"a": 1}))) == plain


def test_the_last_line_may_lack_its_end(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(ids_row()))
    assert len(read_pairs(path)) == 1


def test_windows_line_ends_are_read(write):
    unix = read_pairs(write(ids_row(), ids_row(chosen_ids=[6])))
    windows = write(*(json.dumps(row).encode() + b"\r" for row in (ids_row(), ids_row(chosen_ids=[6]))))
    assert read_pairs(windows) == unix


def test_the_limit_reads_no_further(write):
    path = write(ids_row(), ids_row(chosen_ids=[6]), b"not JSON")
    assert [pair.id for pair in read_pairs(path, limit=1)] == ["1"]
    assert [pair.id for pair in read_pairs(path, limit=2)] == ["1", "2"]
    with pytest.raises(BadRows):
        read_pairs(path, limit=3)


def test_a_row_of_exactly_the_longest_length_is_read(write):
    path = write(ids_row())
    assert len(read_pairs(path, max_length=4)) == 1
    with pytest.raises(BadRows, match="prompt of 2 and chosen of 2 tokens exceed max_length 3"):
        read_pairs(path, max_length=3)


def test_the_highest_id_of_the_vocabulary_is_read(write):
    path = write(ids_row())
    assert len(read_pairs(path, vocabulary=6)) == 1
    with pytest.raises(BadRows, match="rejected holds token 5 of a vocabulary of 5"):
        read_pairs(path, vocabulary=5)


def test_opposite_preferences_are_two_pairs(write):
    rows = [ids_row(), ids_row(chosen_ids=[5], rejected_ids=[3, 4])]
    first, second = read_pairs(write(*rows))
    assert (second.chosen, second.rejected) == (first.rejected, first.chosen)


@pytest.mark.parametrize("name", ["vocabulary", "max_length", "limit"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True])
def test_bounds_are_positive_integers(write, name, value):
    with pytest.raises(InputError, match=f"{name} must be a positive integer"):
        read_pairs(write(ids_row()), **{name: value})


def test_an_unknown_bound_is_refused(write):
    with pytest.raises(InputError, match="read_pairs has no option 'max_lenght': choose from vocabulary, "):
        read_pairs(write(ids_row()), max_lenght=9)


def test_rows_of_ids_call_no_tokenizer(write):
    def tokenizer():
        raise AssertionError("called")

    assert len(read_pairs(write(ids_row()), tokenizer=tokenizer)) == 1


def test_rows_of_ids_import_neither_torch_nor_transformers(write):
    code = (
        "import sys; from vrpo_theory.data import read_pairs; read_pairs(sys.argv[1]); "
        "sys.exit(bool({'torch', 'transformers', 'tokenizers', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(write(ids_row()))], check=False).returncode == 0
