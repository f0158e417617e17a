"""The commands, from arguments to exit codes."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from vrpo_theory import Scheme, rounding
from vrpo_theory.models.llada import load

TINY = Path(__import__("vrpo_theory").__file__).parent / "models" / "llada" / "tiny"
GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "llada_tiny" / "elbo.json").read_text())

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    row = {
        "id": "golden",
        "prompt_ids": GOLDEN["prompt"],
        "chosen_ids": GOLDEN["chosen"],
        "rejected_ids": GOLDEN["rejected"],
    }
    longer = {"prompt_ids": [1, 2], "chosen_ids": list(range(13)), "rejected_ids": [7, 8, 9]}
    path.write_text(json.dumps(row) + "\n" + json.dumps(longer) + "\n")
    return path


def checkpoints(pairs):
    return "--policy", TINY / "policy", "--reference", TINY / "reference", "--pairs", pairs


def test_exact_score_of_the_golden_pair(vrpo, pairs):
    result = vrpo("score", *checkpoints(pairs), "--method", "exact", "--limit", 1, "--json")
    assert result.exit_code == 0, result.output
    (document,) = json.loads(result.stdout)["pairs"]
    policy = load(TINY / "policy")
    token = 12 * rounding.of_model(policy, 11)  # no token of the pair has less than exp(-12)
    assert math.isclose(document["margin"], 2.265200, abs_tol=4 * 6 * token)
    assert math.isclose(document["score"], 0.2 * document["margin"], rel_tol=1e-12)
    loglik = document["loglik"]
    margin = (
        loglik["policy_chosen"] - loglik["reference_chosen"] - loglik["policy_rejected"] + loglik["reference_rejected"]
    )
    assert math.isclose(margin, 3.216872, abs_tol=4 * 6 * token)
    assert math.isclose(document["loglik_margin"], margin, rel_tol=1e-12)
    for name, values in GOLDEN["results"].items():
        key = name.replace(".", "_")
        assert math.isclose(document["elbo"][key], values["elbo_exact"], abs_tol=6 * token)
        assert math.isclose(loglik[key], values["loglik_exact"], abs_tol=6 * token)
    assert document["stderr"] is None
    assert document["v_time"] > 0
    assert document["v_mask"] > 0


def test_auto_is_exact_up_to_twelve_tokens(vrpo, pairs):
    result = vrpo("score", *checkpoints(pairs), "--json")
    first, second = json.loads(result.stdout)["pairs"]
    assert (first["method"], second["method"]) == ("exact", "mc")
    assert second["loglik"] is second["loglik_margin"] is None
    assert second["stderr"] > 0
    assert second["v_time"] is second["v_mask"] is None


@pytest.mark.parametrize(
    ("n_t", "n_yt", "known"), [(4, 2, (True, True, True)), (1, 3, (False, False, True)), (3, 1, (True, False, False))]
)
def test_sampled_components_follow_the_budget(vrpo, pairs, n_t, n_yt, known):
    options = ("--method", "mc", "--n-t", n_t, "--n-yt", n_yt, "--no-shared", "--limit", 1, "--json")
    result = vrpo("score", *checkpoints(pairs), *options)
    (d,) = json.loads(result.stdout)["pairs"]
    assert tuple(d[k] is not None for k in ("stderr", "v_time", "v_mask")) == known
    if all(known):
        assert math.isclose(d["stderr"] ** 2, 0.04 * (d["v_time"] / n_t + d["v_mask"] / (n_t * n_yt)), rel_tol=1e-9)


def test_the_table_for_people(vrpo, pairs):
    golden, _ = json.loads(vrpo("score", *checkpoints(pairs), "--json").stdout)["pairs"]
    result = vrpo("score", *checkpoints(pairs))
    assert "golden" in result.stdout
    assert f"{golden['margin']:.6g}" in result.stdout


def test_estimates_end_where_their_errors_do(vrpo, pairs):
    """The margin as the score, beta 0 included; and what an error of few degrees of freedom is worth."""
    options = ("--design", "power_strata", "--groups", 2)
    for beta in (0.2, 0):
        output = vrpo("score", *checkpoints(pairs), *options, "--beta", beta).stdout
        margins = [line.split()[2] for line in output.splitlines() if " mc " in line]
        assert len(margins) == 2
        assert all(re.fullmatch(r"-?[\d.]+\(\d\)", margin) for margin in margins)
        assert ("2 of 2 pairs: fewer than 5 degrees of freedom" in output) == bool(beta)
    assert "degrees of freedom:" not in vrpo("score", *checkpoints(pairs), "--n-t", 8).stdout


def test_too_long_to_enumerate_is_bad_input(vrpo, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt_ids": [], "chosen_ids": list(range(21)), "rejected_ids": [1]}))
    result = vrpo("score", *checkpoints(path), "--method", "exact")
    assert result.exit_code == 2
    assert "--method mc" in result.stderr


def test_bad_rows_name_file_and_line(vrpo, tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text(
        '{"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [2]}\n'
        '{"prompt_ids": [1], "chosen_ids": [258], "rejected_ids": [2]}\n'
    )
    result = vrpo("score", *checkpoints(path))
    assert result.exit_code == 2
    first, second = result.stderr.strip().splitlines()
    assert first.startswith(f"{path}:1: ")
    assert second.startswith(f"{path}:2: ")
    assert "mask" in second
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("reproduce", "no-such-exhibit"),
        ("reproduce", "table3", "--policy", TINY / "policy"),
        ("reproduce",),
        ("reproduce", "table3", "--method", "guess"),
        ("score", "--policy", TINY / "nowhere", "--reference", TINY / "reference", "--pairs", "nothing.jsonl"),
    ],
)
def test_bad_input_exits_2(vrpo, arguments):
    assert vrpo(*arguments).exit_code == 2


def test_list_names_every_exhibit(vrpo):
    from vrpo_theory import EXHIBITS

    result = vrpo("reproduce", "--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == EXHIBITS.names()


@pytest.fixture
def reproduce(vrpo):
    """Runs an exhibit on two pairs, else the ablation, with three repeats."""

    def run(out, *arguments, exhibit="table3"):
        repeats = ("--repeats", 3) * (exhibit == "table3")
        return vrpo("reproduce", exhibit, "--out", out, "--limit", 2, *repeats, *arguments)

    return run


def test_reproduce_writes_checks_and_detects_a_difference(reproduce, tmp_path):
    reproduce = partial(reproduce, tmp_path, exhibit="allocation")
    result = reproduce("--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)["exhibits"]["allocation"]
    assert set(document) == {"cells", "provenance"}
    assert {p.name for p in tmp_path.iterdir()} == {
        "allocation.json",
        "allocation.md",
        "allocation.png",
        "allocation.svg",
        "allocation.csv",
    }
    stored = tmp_path / "allocation.json"
    assert json.loads(stored.read_text()) == document
    assert {"versions", "code", "models", "pairs", "options"} <= document["provenance"].keys()

    again = reproduce()
    assert "inputs unchanged" in again.stderr
    assert reproduce("--check").exit_code == 0
    document["cells"][0]["value"] *= 1.01
    stored.write_text(json.dumps(document))
    result = reproduce("--check")
    assert result.exit_code == 3
    assert "var_score" in result.stderr
    stored.write_text("{}")
    assert reproduce("--check").exit_code == 2


@pytest.mark.parametrize(
    ("protocol", "methods", "gradient"),
    [("auto", {"pooled", "paper"}, "auto"), ("paper", {"mc", "paper"}, "none"),
     ("both", {"mc", "pooled", "paper"}, "none")],
)  # fmt: skip
def test_real_checkpoints_and_pairs(reproduce, pairs, tmp_path, protocol, methods, gradient):
    """Two pairs, one too long for exact: pooled by default, or the paper's repeats; the proxy gradient."""
    options = ("--protocol", protocol, "--pool", "4,2", "--gradient", gradient, "--json")
    result = reproduce(tmp_path / "out", *checkpoints(pairs), *options)
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)["exhibits"]["table3"]["cells"]
    assert {c["column"]["model"] for c in cells} == {"policy"}
    assert {c["method"] for c in cells} == methods
    gradients = [c for c in cells if c["row"] == "var_gradient" and c["value"] is not None]
    assert bool(gradients) == (gradient == "auto")
    assert all(c["value"] > 0 and "up-projection" in c["note"] and c["n_pairs"] == 2 for c in gradients)
    bias = [c for c in cells if c["row"] == "bias_loss"]
    assert all((c["value"] is None) == (c["method"] == "mc") for c in bias)


@pytest.mark.parametrize("pool", ["12", "a,b", "0,2", "3,2,1", "2,2", "3,1"])
def test_bad_pools_are_refused(reproduce, pairs, tmp_path, pool):
    result = reproduce(tmp_path, *checkpoints(pairs), "--pool", pool)
    assert result.exit_code == 2
    assert "as in 12,4" in result.stderr


def test_a_recorded_run_is_repeated_without_models(reproduce, vrpo, pairs, tmp_path):
    """The same numbers from the store alone, gradients left out; what was not recorded is an error that says so."""
    store, options = tmp_path / "store", ("--pool", "4,2", "--gradient", "none", "--json")
    first = reproduce(tmp_path / "a", *checkpoints(pairs), *options, "--store", store)
    assert first.exit_code == 0, first.output
    again = reproduce(tmp_path / "b", *checkpoints(pairs), *options, "--store", store)
    alone = vrpo("reproduce", "table3", "--out", tmp_path / "c", *options, "--from-store", store)
    assert alone.exit_code == 0, alone.output
    cells = [json.loads(r.stdout)["exhibits"]["table3"]["cells"] for r in (first, again, alone)]
    assert cells[0] == cells[1] == cells[2]
    more = vrpo("reproduce", "table3", "--out", tmp_path / "d", *options, "--from-store", store, "--seed", 1)
    assert more.exit_code == 2
    assert "evaluations" in more.stderr
    other = reproduce(tmp_path / "e", *checkpoints(pairs), *options, "--store", store, "--seed", 1)
    assert other.exit_code == 0, other.output


def test_a_store_needs_checkpoints(reproduce, tmp_path):
    result = reproduce(tmp_path, "--store", tmp_path / "store")
    assert result.exit_code == 2
    assert "--policy" in result.stderr


def test_scores_are_recorded_and_designs_chosen(vrpo, pairs, tmp_path):
    options = ("--method", "mc", "--n-t", 4, "--design", "power_strata(power=2.0)", "--weighting", "two_way")
    args = ("score", *checkpoints(pairs), *options, "--groups", 3, "--json", "--store", tmp_path / "s")
    first, second = vrpo(*args), vrpo(*args)
    assert first.exit_code == 0, first.output
    one, two = (json.loads(r.stdout) for r in (first, second))
    assert one["pairs"] == two["pairs"]
    assert all(p["stderr"] > 0 for p in one["pairs"])
    assert one["provenance"]["scheme"]["weighting"] == "two_way(rho=1.0, slope=True)"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--design", "no_such"), "choose from"),
        (("--design", "balanced", "--weighting", "cross_fitted"), "biased on balanced"),
        (("--design", "strata(1)"), "NAME"),
        (("--weighting", "two_way(rho=-1)"), "rho must be positive"),
        (("--design", "coupled"), "n_t odd"),
        (("--scheme", "no_such_plan.json"), "no file"),
        (("--scheme", "n_t=99999999"), "at most"),
    ],
)
def test_samplers_that_do_not_exist_are_bad_input(vrpo, pairs, options, reason):
    result = vrpo("score", *checkpoints(pairs), "--method", "mc", *options)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_plan_names_what_to_run(vrpo, pairs, tmp_path):
    result = vrpo("plan", *checkpoints(pairs), "--pilot", 32, "--budget", 8, "--gradient", "up-proj", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    best = document["recommended"]
    assert best["var_score"] <= document["vrpo"]["var_score"]
    assert best["n_t"] * best["n_yt"] <= 8
    assert document["var_gradient"] > 0
    order = [r["var_score"] for r in document["ranking"]]
    assert order == sorted(order)
    options = ("--design", best["design"], "--weighting", best["weighting"], "--n-t", best["n_t"], "--groups", 2)
    shared = () if best["shared"] else ("--no-shared",)
    run = vrpo("score", *checkpoints(pairs), "--method", "mc", *options, "--n-yt", best["n_yt"], *shared)
    assert run.exit_code == 0, run.output
    file = tmp_path / "plan.json"
    file.write_text(result.stdout)
    scheme = str(Scheme.from_document(document))
    for source in (file, scheme):
        same = vrpo("score", *checkpoints(pairs), "--scheme", source)
        assert same.stdout == run.stdout, same.output
    fewer = vrpo("score", *checkpoints(pairs), "--scheme", file, "--groups", 1, "--json")
    assert json.loads(fewer.stdout)["provenance"]["scheme"] == document["run"] | {"groups": 1}
    target = vrpo("plan", *checkpoints(pairs), "--pilot", 32, "--target-stderr", 0.2)
    assert f"vrpo score --policy {TINY / 'policy'}" in target.stdout


@pytest.mark.parametrize(
    "options",
    [(), ("--budget", 8, "--target-bias", 0.1), ("--budget", 0.5), ("--budget", 8, "--cost", "1"),
     ("--budget", 8, "--cost", "-1,1"), ("--target-stderr", 1e-12)],
)  # fmt: skip
def test_plans_that_cannot_be_made_are_bad_input(vrpo, pairs, options):
    assert vrpo("plan", *checkpoints(pairs), "--pilot", 8, *options).exit_code == 2


@pytest.mark.parametrize(
    "command",
    [("score", "--n-t", 2), ("plan", "--pilot", 8, "--budget", 8), ("reproduce", "table3", "--pool", "3,2")],
    ids=lambda command: command[0],
)
def test_a_run_on_real_checkpoints_is_not_called_a_toy(vrpo, pairs, tmp_path, command):
    out = ("--out", tmp_path, "--gradient", "none") if command[0] == "reproduce" else ()
    result = vrpo(*command, *checkpoints(pairs), *out, "--limit", 1, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    origin = document["exhibits"]["table3"]["provenance"] if out else document["provenance"]
    assert origin["options"].get("scale", "real") == "real"
    assert "toy" not in json.dumps(origin)


def test_disk_full_keeps_the_old_table(reproduce, tmp_path, monkeypatch):
    reproduce = partial(reproduce, tmp_path, exhibit="consistency")
    assert reproduce().exit_code == 0
    before = (tmp_path / "consistency.json").read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vrpo_theory.files.os.fsync", full)
    result = reproduce("--fresh")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert "resume" in result.stderr
    assert (tmp_path / "consistency.json").read_bytes() == before


def _handles(pid, number):
    """Whether a process has its own handler for a signal: the command has then begun its work."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(caught[1], 16) >> (number - 1) & 1)


def test_an_interrupt_within_a_string_of_code_ends_with_its_exit_code(tmp_path):
    """Dataclasses run such strings while modules are imported; Python then ends by the signal itself, not by 130."""
    (tmp_path / "program.py").write_text(
        "import typer\n"
        "from vrpo_theory.runs.console import exit_codes\n"
        "def main():\n"
        "    with exit_codes():\n"
        "        exec('raise KeyboardInterrupt')\n"
        "typer.run(main)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    run = subprocess.run(
        [sys.executable, "-m", "program"], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 130, run.stderr
    assert "to resume" in run.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the signals a process handles from /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_runs_say_how_to_resume(tmp_path, number, code):
    command = [sys.executable, "-m", "vrpo_theory.reproduce", "table3", "--out", str(tmp_path), "--repeats", "100000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
        # a shell that runs the tests in the background ignores SIGINT, which children inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not _handles(process.pid, signal.SIGTERM):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "resume" in errors
    assert list(tmp_path.iterdir()) == []
