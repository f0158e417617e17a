"""Results of an own run: files of ``--out``, verdicts in words, frames, and one page of them all."""

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import vrpo_theory
from vrpo_theory.reproduce.page import page
from vrpo_theory.runs import frames, verdicts
from vrpo_theory.statements.loss import uniform_bias_bound

ROOT = Path(__file__).parents[2]
TINY = Path(vrpo_theory.__file__).parent / "models" / "llada" / "tiny"
NAME = "<script>alert('&')</script> \"x\""
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def results(vrpo, tmp_path_factory):
    """A folder with scores, a plan and an exhibit; the first pair's id is markup."""
    folder = tmp_path_factory.mktemp("results")
    rows = [{"id": NAME, "prompt_ids": [1], "chosen_ids": [2, 3, 4], "rejected_ids": [5]},
            {"prompt_ids": [1, 2], "chosen_ids": [2, 7], "rejected_ids": [4, 5, 6]}]  # fmt: skip
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = ("--policy", TINY / "policy", "--reference", TINY / "reference", "--pairs", folder / "pairs.jsonl")
    runs = [vrpo("score", *sources, "--n-t", 4, "--out", folder / "out"),
            vrpo("plan", *sources, "--budget", 8, "--pilot", 16, "--out", folder / "out")]  # fmt: skip
    assert [run.exit_code for run in runs] == [0, 0], runs
    shutil.copy(ROOT / "figures" / "budget.json", folder / "out")
    return folder / "out", [run.stdout for run in runs]


def read(results, name):
    return json.loads((results[0] / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["score", "plan"])
def test_files_hold_what_is_printed(results, name):
    folder, printed = results
    assert {path.suffix for path in folder.glob(f"{name}.*")} == {".json", ".csv", ".png", ".svg"}
    said = verdicts.of(read(results, name))
    assert said in printed[("score", "plan").index(name)]


@pytest.mark.parametrize(("name", "key"), [("score", "pairs"), ("plan", "ranking"), ("budget", "cells")])
def test_pandas_reads_rows_in_one_call(results, name, key):
    document = read(results, name)
    frame = vrpo_theory.frame(document)
    assert len(frame) == len(document[key])
    if name != "budget":
        stored = pd.read_csv(results[0] / f"{name}.csv", keep_default_na=False, na_values=[""])
        empty = frame.fillna(math.nan).replace("", math.nan)  # a CSV file knows one kind of nothing
        pd.testing.assert_frame_equal(stored, empty, check_dtype=False)
    else:
        assert set(frame["column.passes"]) == {1, 2, 4, 8, 16, 32}


def test_what_is_no_result_has_no_rows():
    with pytest.raises(vrpo_theory.errors.InputError, match="no result"):
        frames.rows({"a": 1})


def test_the_plan_s_verdict_has_the_plan_s_numbers(results):
    plan = read(results, "plan")
    errors = [float(x) for x in re.findall(r"(?:error of|give) ([\d.]+)(?: nats|;)", verdicts.of_plan(plan))]
    for said, forecast in zip(errors, (plan["vrpo"], plan["recommended"]), strict=True):
        assert said == pytest.approx(math.sqrt(forecast["var_score"]), rel=0.06)


def test_the_ablation_s_verdict_is_of_eight_masks():
    document = json.loads((ROOT / "figures" / "table3.json").read_text())
    said = verdicts.of_cells(document)
    orders = [c["verdict"] for c in document["cells"] if c["verdict"] in ("order holds", "order fails")]
    assert f"{orders.count('order holds')} of {len(orders)} orders of the paper hold" in said
    (eight,) = (c["value"] for c in document["cells"] if c["row"] == "var_score" and c["method"] == "exact"
                and c["column"] == {"model": "markov", "n_t": 8, "n_yt": 1, "shared": True})  # fmt: skip
    assert f"markov: VRPO's 8 masks give a standard error of {math.sqrt(eight):.2g} nats" in said
    assert f"at most {uniform_bias_bound(eight):.2g} nats" in said.splitlines()[-1]


class Tags(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_no_network_and_runs_no_name(results):
    tags = Tags()
    tags.feed(page(results[0]))
    assert not {tag for tag, _ in tags.tags} & {"script", "link", "img", "iframe"}
    links = [value for _, a in tags.tags for key, value in a.items() if key.endswith(("href", "src"))]
    assert all(link.startswith("#") for link in links)
    assert tags.text.count(NAME) >= 2  # in the table and in the figure
    ids = [a["id"] for _, a in tags.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    assert sum(tag == "section" for tag, _ in tags.tags) == 3
    assert all(verdicts.of(read(results, name)) in tags.text for name in ("score", "plan"))


def test_the_command_says_where_the_page_is(vrpo, results, tmp_path):
    assert vrpo("report", results[0], "--out", tmp_path / "page.html").stdout == f"{tmp_path / 'page.html'}\n"
    assert "<h1>" in (tmp_path / "page.html").read_text()
    nothing = vrpo("report", tmp_path / "nowhere")
    assert (nothing.exit_code, "no results" in nothing.stderr) == (2, True)


@pytest.mark.soak
@pytest.mark.skipif(BROWSER is None, reason="needs a browser, chromium")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_the_page_within_its_width(results, tmp_path, width):
    """The page measures itself: nothing but what scrolls is wider than the window."""
    measured = page(results[0]).replace(
        "</body>", "<script>document.title = document.documentElement.scrollWidth</script></body>"
    )
    (tmp_path / "page.html").write_text(measured)
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},2000", "--dump-dom"]
    shown = subprocess.run([*command, str(tmp_path / "page.html")], capture_output=True, text=True, check=True).stdout
    assert int(re.search(r"<title>(\d+)</title>", shown)[1]) <= max(width, 500)  # headless windows have a least width
