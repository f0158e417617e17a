"""The toy language: what is right, what is wrong, and where every question comes from."""

import math

import numpy as np
import pytest

from vrpo_theory.data import toy

HAS = {task: [n for n in toy.ALL_LENGTHS if task != "addition" or n % 2 == 0] for task in toy.TASKS}
EVERY = [(task, length) for task, lengths in HAS.items() for length in lengths]


def ask(task, length, number=40):
    return [toy.question(7, "train", i, task=task, length=length) for i in range(number)]


def recomputed(question):
    """The right answer, by arithmetic on the text."""
    sign, body = toy.text(question.prompt)[0], toy.text(question.prompt)[1:-1].rstrip()
    if sign == "+":
        total, width = int(body[::2]) + int(body[1::2]), len(body) // 2
        digits = f"{total:0{width + 1}d}"
        out = [digits[0]]
        for place in range(width):
            low = 10 ** (width - 1 - place)
            carry = (int(body[::2]) % (10 * low) + int(body[1::2]) % (10 * low)) // (10 * low)
            out += [str(carry), digits[place + 1]]
        return "".join(out) + "."
    if sign in "<>":
        ascending = "".join(d * body.count(d) for d in "0123456789")
        return (ascending if sign == "<" else ascending[::-1]) + "."
    return "".join(str(sum(map(int, body[i - i % 3 : i + 1])))[-1] for i in range(len(body))) + "."


@pytest.mark.parametrize(("task", "length"), EVERY)
def test_answers_verify_and_mistakes_never_do(task, length):
    for q in ask(task, length):
        assert q.task == task
        assert len(q.answer) == len(q.mistake) == length
        assert toy.text(q.answer) == recomputed(q)
        assert toy.verify(q.prompt, q.answer)
        assert not toy.verify(q.prompt, q.mistake)
        assert toy.read(q.prompt) == q
        assert q.answer[-1] == q.mistake[-1] == toy.EOS
        assert max(q.prompt + q.answer + q.mistake) < toy.MASK < len(toy.SIGNS) <= 24


@pytest.mark.parametrize(
    ("prompt", "answer", "mistake"),
    [
        ("+142639     =", "0050912.", "0050802."),
        ("+999999     =", "1191918.", "0080808."),
        ("<5314206    =", "0123456.", "6543210."),
        (">5314206    =", "6543210.", "0123456."),
        ("s5314206    =", "5894666.", "5564446."),
    ],
)
def test_examples(prompt, answer, mistake):
    q = toy.read([toy.SIGNS.index(c) for c in prompt])
    assert (toy.text(q.answer), toy.text(q.mistake)) == (answer, mistake)


def test_one_wrong_token_is_wrong():
    for q in ask("sums", 9):
        for place in range(9):
            other = (q.answer[place] + 1) % toy.MASK
            assert not toy.verify(q.prompt, (*q.answer[:place], other, *q.answer[place + 1 :]))
        assert not toy.verify(q.prompt, q.answer[:-1])


@pytest.mark.parametrize(
    "bad", ["", "=", "+12345678   ", "<53142      =", "s5 314206   =", "s123456    =", "+1234567    ="]
)
def test_what_is_no_prompt_is_refused(bad):
    with pytest.raises(ValueError, match="not a prompt"):
        toy.verify([toy.SIGNS.index(c) for c in bad], (0, toy.EOS))


def test_every_prompt_is_in_one_split():
    prompts = {split: {toy.question(0, split, i).prompt for i in range(2000)} for split in toy.SPLITS}
    for split, found in prompts.items():
        assert {toy.split_of(p) for p in found} == {split}
    train, validation, test = prompts.values()
    assert not train & validation
    assert not test & (train | validation)


@pytest.mark.statistical(rate=3e-9, detects="a split of 12% in place of 10%")
def test_a_tenth_of_the_prompts_is_held_out_twice():
    """Hoeffding over 20,000 random digit strings; a union of three events."""
    rng = np.random.default_rng(0)
    found = [toy.split_of(rng.integers(10, size=9).tolist()) for _ in range(20_000)]
    bound = math.sqrt(math.log(2 / 1e-9) / (2 * len(found)))
    assert bound < 0.024
    for split, share in zip(toy.SPLITS, (0.8, 0.1, 0.1), strict=True):
        assert abs(found.count(split) / len(found) - share) < bound


def test_streams_are_addressed():
    """An item is a function of seed, split and number: asked in another order, or again, it is the same."""
    forward = [toy.question(3, "test", i) for i in range(50)]
    assert [toy.question(3, "test", i) for i in reversed(range(50))] == forward[::-1]
    assert forward != [toy.question(4, "test", i) for i in range(50)]
    assert len({q.prompt for q in forward}) == 50
    assert toy.text(forward[0].prompt + forward[0].answer) == PINNED
    assert toy.pair(3, "test", 0).chosen.ids == forward[0].answer
    assert toy.pair(3, "test", 0).rejected.ids == forward[0].mistake


PINNED = "<70944565   =04455679."


def test_a_stream_has_every_task_and_length():
    questions = [toy.question(0, "train", i) for i in range(300)]
    wanted = {(task, n) for task, n in EVERY if n in toy.LENGTHS}
    assert {(q.task, len(q.answer)) for q in questions} == wanted


def test_annotators_err_at_their_rate():
    """Never at 0, always at 1, and who errs at a low rate errs at a higher one."""
    questions = [toy.question(5, "train", i) for i in range(400)]

    def errs(rate):
        responses = [toy.supervised(5, "train", rate, i) for i in range(400)]
        assert [r.prompt for r in responses] == [q.prompt for q in questions]
        return [r.ids == q.mistake for r, q in zip(responses, questions, strict=True)]

    assert not any(errs(0.0))
    assert all(errs(1.0))
    few, many = errs(0.3), errs(0.4)
    assert all(b for a, b in zip(few, many, strict=True) if a)
    assert sum(few) < sum(many) < 400


@pytest.mark.statistical(rate=1e-9, detects="a rate of mistakes of 0.40 in place of 0.35")
def test_the_rate_of_mistakes():
    """Hoeffding over 5,000 responses."""
    wrong = [not toy.verify(r.prompt, r.ids) for r in (toy.supervised(1, "train", 0.35, i) for i in range(5000))]
    assert abs(sum(wrong) / 5000 - 0.35) < math.sqrt(math.log(2 / 1e-9) / 10_000)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"task": "division"}, "task must be one of"),
        ({"length": 7}, "length must be from 8 to 16"),
        ({"length": 17}, "length must be from 8 to 16"),
        ({"task": "addition", "length": 9}, "no response of 9 tokens"),
    ],
)
def test_what_is_not_in_the_language_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        toy.question(0, "train", 0, **options)
    with pytest.raises(ValueError, match="split must be one of"):
        toy.question(0, "dev", 0)
    with pytest.raises(ValueError, match="18"):
        toy.text([18])
