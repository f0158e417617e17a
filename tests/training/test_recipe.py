"""The recipe from end to end, as small as can be: two processes, killed, resumed, evaluated by the harness."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
BASE = ROOT / "tests" / "data" / "cases" / "base"
TRAIN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "vrpo_theory.cli", "train")
SMALL = ("--device", "cpu", "--dtype", "float32", "--batch", 2, "--held-out", 0, "--save-every", 1)
TASK = """
task: tiny_{kind}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
"""
CHOICE = 'doc_to_choice: "{{choices}}"\ndoc_to_target: "{{answer}}"\nmetric_list: [{metric: acc}]\n'
WRITING = (
    'doc_to_target: "{{choices[answer]}}"\ngeneration_kwargs: {until: ["."], max_gen_toks: 6}\n'
    "metric_list: [{metric: exact_match}]\n"
)
QUESTIONS = [
    {"question": "Name a fruit.", "choices": ["pear", "rock"], "answer": 0},
    {"question": "Two plus two?", "choices": ["four", "nine"], "answer": 0},
]


def started(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


def killed(process):
    """The process and its children, which the launcher puts into sessions of their own."""
    for one in (*psutil.Process(process.pid).children(recursive=True), process):
        one.kill()
    process.communicate()


def ended(process):
    output, errors = process.communicate(timeout=1200)
    assert process.returncode == 0, errors[-3000:]
    return output


@pytest.mark.soak
def test_a_configuration_is_trained_by_two_processes_and_evaluated(tmp_path):
    pytest.importorskip("lm_eval")
    out = tmp_path / "out"
    told = ("--config", ROOT / "configs" / "base.yaml", "--policy", BASE / "policy", "--pairs", BASE / "pairs.jsonl")
    command = (*TRAIN, *told, *SMALL, "--steps", 6, "--out", out)
    first = started(*command)
    while not (out / "checkpoint-1").exists() and first.poll() is None:
        time.sleep(0.05)
    killed(first)
    assert not (out / "adapter_model.safetensors").exists()
    ended(started(*command))
    assert [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()] == list(range(1, 7))

    rows = tmp_path / "questions.jsonl"
    rows.write_text("".join(f"{json.dumps(row)}\n" for row in QUESTIONS))
    for kind, rest in (("multiple_choice", CHOICE), ("generate_until", WRITING)):
        (tmp_path / f"{kind}.yaml").write_text(TASK.format(kind=kind, rows=rows) + rest)
    model = f"policy={BASE / 'policy'},adapter={out},scheme=exact,sampler=semi_autoregressive(block_length=3)"
    harness = ("-m", "vrpo_theory.evaluation", "--model", "vrpo", "--model_args", model, "--device", "cpu")
    tasks = ("--include_path", tmp_path, "--tasks", "tiny_multiple_choice,tiny_generate_until")
    ended(started(*harness, *tasks, "--log_samples", "--output_path", tmp_path / "found"))
    (found,) = (tmp_path / "found").rglob("results_*.json")
    results = json.loads(found.read_text())["results"]
    assert 0 <= results["tiny_multiple_choice"]["acc,none"] <= 1
    assert 0 <= results["tiny_generate_until"]["exact_match,none"] <= 1
    (samples,) = (tmp_path / "found").rglob("samples_tiny_multiple_choice_*.jsonl")
    check_likelihoods([json.loads(line) for line in samples.read_text().splitlines()], out)


def check_likelihoods(samples, adapter):
    """What the harness was told is what enumeration gives."""
    from vrpo_theory import load_model
    from vrpo_theory.data.encoding import tokens
    from vrpo_theory.data.tokenizer import load_tokenizer
    from vrpo_theory.evaluation.likelihoods import elbos
    from vrpo_theory.types import Response

    model, words = load_model(BASE / "policy", adapter=adapter), load_tokenizer(BASE / "policy")
    for sample in samples:
        answers = (f" {choice}" for choice in sample["doc"]["choices"])  # the harness writes a space between
        row = tokens(words, (sample["doc"]["question"], *answers), framed=True).row
        expected = elbos(model, [Response(row.prompt, ids) for ids in (row.chosen, row.rejected)], None)
        told = [float(response[0][0]) for response in sample["resps"]]
        assert told == pytest.approx(expected, abs=1e-4)
