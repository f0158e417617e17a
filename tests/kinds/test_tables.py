"""Tables print whole numbers and names as they are, at any width, in any encoding, to readers that leave early."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from vrpo_theory import EXHIBITS, tables
from vrpo_theory.reproduce import report
from vrpo_theory.reproduce.base import Cell

TINY = Path(__import__("vrpo_theory").__file__).parent / "models" / "llada" / "tiny"
HEADER = ("id", "margin", "score", "stderr", "v_time", "v_mask")
NUMBERS = ("-0.0655401", "-1.31080e-02", "1.5e-300", "1.23345e-05", "0.205736")
IDS = [f"conversation-{k}-of-the-long-evaluation-run-{'x' * k}" for k in range(12)]


def words(text):
    return re.split(r"\s{2,}|\n", text)


@pytest.mark.parametrize("width", [None, 200, 80, 60, 40, 20])
def test_every_number_and_header_is_whole_at_any_width(width):
    text = tables.table(HEADER, [(name, *NUMBERS) for name in IDS], title="numbers, whole", width=width)
    assert {*HEADER, *NUMBERS} <= set(words(text))
    assert text.count("1.5e-300") == len(IDS)
    if width and width >= 40:
        assert max(map(cell_len, text.split("\n"))) <= width
    if width is None:
        assert all(name in text for name in IDS)
        assert len(text.split("\n")) == 3 + len(IDS)


@pytest.mark.parametrize("width", [80, 40])
def test_shortened_names_stay_unique_and_stand_in_each_block(width):
    """Long common beginnings and ends, as in https://github.com/ibis-project/ibis/issues/4554."""
    names = [f"{'a' * 40}{k:03d}{'b' * 40}" for k in range(20)]
    text = tables.table(HEADER, [(name, *NUMBERS) for name in names], width=width)
    blocks = [[line.split("  ")[0] for line in block.split("\n")[2:]] for block in text.split("\n\n")]
    assert len(blocks) > 1
    assert all(block == blocks[0] and len(set(block)) == len(names) for block in blocks)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[red]not red[/red]", "[red]not red[/red]"),
        ("[/closing]", "[/closing]"),
        (":smile: and :100:", ":smile: and :100:"),
        ("$a_1$ \\[b]", "$a_1$ \\[b]"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("two\nlines\tand a tab", "two\\nlines\\tand a tab"),
        ("lone \ud800 half", "lone \\ud800 half"),
        ("right \u202eto left", "right \\u202eto left"),
        ("数学-7", "数学-7"),
    ],
)
def test_names_print_as_they_are(name, shown):
    """Markup, emoji codes and terminal codes in a name, as in https://github.com/Textualize/rich/issues/2636."""
    text = tables.table(("id", "value"), [(name, "0.25"), ("other", "1")], title=name)
    assert text.split("\n")[0] == shown
    line = text.split("\n")[3]
    assert line.startswith(shown)
    assert line.endswith("0.25")
    assert len({cell_len(x) for x in text.split("\n")[2:]}) == 1


def test_rows_without_a_word_are_left_out_of_a_block():
    text = tables.table(("", "a" * 20, "b" * 20), [("r", "1", ""), ("s", "", "2")], width=30)
    assert [[line.split("  ")[0] for line in block.split("\n")[2:]] for block in text.split("\n\n")] == [["r"], ["s"]]


@pytest.mark.parametrize("name", EXHIBITS.names())
@pytest.mark.parametrize("width", [80, 40])
def test_exhibits_cut_no_number(name, width, monkeypatch, capsys):
    cells = [
        Cell(row, {"model": "m", "n": n}, -1.23e-5 * n, unit="nats^2", paper=7.5).document()
        for row in ("var_score", "var_score_ratio", "a_row_of_a_rather_long_name")
        for n in range(1, 14)
    ]
    monkeypatch.setattr(tables, "terminal_width", lambda: width)
    report.print_tables(EXHIBITS[name], {"cells": cells})
    text = capsys.readouterr().out
    assert "…" not in text
    assert text.count("7.5") == len(cells)
    for n in range(1, 14):
        assert text.count(f"{-1.23e-5 * n:.3g}") >= 3


def test_units_and_legend_come_before_and_rows_of_the_paper_alone_when_asked(capsys):
    cells = [
        Cell("var_score", {"model": "m", "n": 1}, 0.5, unit="nats^2", paper=2.0),
        Cell("gsm8k", {"model": "m", "n": 1}, None, method="paper", paper=83.3, note="not reproduced: needs training"),
    ]
    document = {"cells": [c.document() for c in cells]}
    report.print_tables(EXHIBITS["table3"], document)
    text = capsys.readouterr().out
    assert "var_score  (nats^2)" in text
    assert text.index("paper: its printed number") < text.index("var_score")
    assert "gsm8k" not in text
    report.print_tables(EXHIBITS["table3"], document, paper=True)
    assert "83.3" in capsys.readouterr().out


PRINTS = """
import typer
from vrpo_theory.runs.console import exit_codes, say, show_table
def command():
    with exit_codes():
        for _ in range({times}):
            show_table(("id", "value"), [({name!r}, "0.25")])
        say({name!r})
typer.run(command)
"""


def run(name, times=1, shell="{}", **environment):
    code = PRINTS.format(name=name, times=times)
    command = shell.format('"$PYTHON" -c "$CODE"')
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, check=False,
        env=os.environ | {"PYTHON": sys.executable, "CODE": code} | environment,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp850"])
def test_characters_that_an_output_lacks_are_escapes(encoding):
    """As in https://github.com/astanin/python-tabulate/issues/327."""
    result = run("数 … Ж", PYTHONIOENCODING=encoding)
    assert result.returncode == 0, result.stderr
    for text in (result.stdout.decode(encoding), result.stderr.decode(encoding)):
        assert "\\u6570" in text
        assert "\\u0416" in text
    assert "0.25" in result.stdout.decode(encoding)


@pytest.mark.parametrize("shell", ["{} | head -c 1", "{} | true", "{} 2>&1 | head -1", "{} 2>&-", "{} >&-"])
def test_a_reader_that_leaves_ends_nothing(shell):
    """No traceback, no advice to run again: https://github.com/Backblaze/B2_Command_Line_Tool/issues/1071."""
    result = run("name", 2000, "set -o pipefail; " + shell)
    assert result.returncode == 0, result.stderr
    assert b"rror" not in result.stderr
    assert b"resume" not in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_of_one_line():
    result = run("name", 1, "{} >/dev/full")
    assert result.returncode == 1
    assert result.stderr.decode().count("\n") == 1
    assert "No space left" in result.stderr.decode()


@pytest.mark.parametrize("charset", ["utf-8", "cp1252", "ascii"])
def test_scores_stand_beside_ids_of_any_kind(vrpo, charset, tmp_path):
    """Ids that look like markup, that are long, and in another script, through the whole command."""
    ids = ["gsm8k[/hard]-17", "math[algebra]", "shard:100:7", "12345678-90ab-cdef-1234-567890abcdef", "数学"]
    rows = [{"id": i, "prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [k]} for k, i in enumerate(ids, 3)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = ("--policy", TINY / "policy", "--reference", TINY / "reference")
    arguments = ("score", *models, "--pairs", tmp_path / "pairs.jsonl")
    printed = vrpo(*arguments, charset=charset)
    assert printed.exit_code == 0, printed.output
    lines = [line for line in printed.stdout.splitlines() if "  exact  " in line]
    assert [line.split("  ")[0] for line in lines] == [
        i.encode(charset, "backslashreplace").decode(charset) for i in ids
    ]
    documents = json.loads(vrpo(*arguments, "--json", charset=charset).stdout)["pairs"]
    assert all(f"{d['margin']:.6g}" in line for d, line in zip(documents, lines, strict=True))


def test_numbers_that_are_not_finite_are_null_in_every_document(capsys):
    from vrpo_theory.runs.console import print_json

    print_json({"pairs": [{"margin": float("nan"), "elbo": {"policy_chosen": float("-inf")}, "score": 1.5}]})
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["pairs"] == [{"margin": None, "elbo": {"policy_chosen": None}, "score": 1.5}]
    assert document["not_finite"] == ["pairs[0].margin is nan", "pairs[0].elbo.policy_chosen is -inf"]
    assert "pairs[0].margin" in printed.err
