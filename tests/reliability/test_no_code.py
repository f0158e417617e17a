"""Data is data: nothing in the package unpickles, or runs code that comes with a checkpoint or a file of pairs."""

import ast
from pathlib import Path

import pytest

import vrpo_theory

ROOT = Path(vrpo_theory.__file__).parent
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted(ROOT.rglob("*.py"))}
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "runpy", "imp"}
CALLS = {"eval", "exec", "compile", "__import__"}
LOADERS = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("yaml", "load"), ("pandas", "read_pickle")}
ALLOWED = {
    'runs/console.py: exec("")',  # an empty string, which makes Python forget a signal
}


def reached(source):
    """What of a source could run foreign code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (f"import {n.name}" for n in names if n.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(str() as module) if module.partition(".")[0] in MODULES:
                yield f"import {module}"
            case ast.Call(ast.Name(name), arguments) if name in CALLS:
                yield f'{name}("")' if arguments and ast.unparse(arguments[0]) == "''" else name
            case ast.Call(ast.Attribute(ast.Name(module), name)) if (module, name) in LOADERS:
                yield f"{module}.{name}"
            case ast.keyword("trust_remote_code", value) if ast.unparse(value) != "False":
                yield "trust_remote_code"
            case ast.keyword("allow_pickle" | "weights_only", value):
                yield ast.unparse(node)


def test_nothing_unpickles_or_runs_what_comes_with_data():
    found = {f"{path}: {what}" for path, source in SOURCES.items() for what in reached(source)}
    assert found == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(path)", "eval(text)", "yaml.load(x)",
        "f(trust_remote_code=True)", "f(trust_remote_code=flag)", "f(allow_pickle=True)", "f(weights_only=False)",
    ],
)  # fmt: skip
def test_what_would_is_seen(source):
    assert list(reached(source))


def follows_auto_map(call):
    """Whether a class that is made from a folder could be one that looks into ``auto_map``: not named, or Auto..."""
    owner = ast.unparse(call.func).removesuffix(".from_pretrained").rpartition(".")[2]
    return owner.islower() or owner.startswith("Auto")


def test_what_could_follow_the_files_to_code_is_told_not_to():
    calls = [
        (path, node)
        for path, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".from_pretrained")
    ]
    told = {path: {keyword.arg for keyword in call.keywords} for path, call in calls if follows_auto_map(call)}
    assert told
    assert [path for path, given in told.items() if "trust_remote_code" not in given] == []
