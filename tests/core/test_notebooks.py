"""Notebooks run on the environment's own kernel, wherever Jupyter looks first, and wherever they are copied to.

https://github.com/computationalmodelling/nbval/issues/104: ``--nbval`` alone takes whatever is called python3.
"""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ELSEWHERE = "/no/such/python"


@pytest.fixture
def astray(tmp_path, monkeypatch):
    """JUPYTER_PATH leads to a kernel python3 that does not start."""
    spec = {"argv": [ELSEWHERE, "-m", "ipykernel_launcher"], "display_name": "site", "language": "python"}
    folder = tmp_path / "site" / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "site"))
    assert KernelSpecManager().get_kernel_spec("python3").argv[0] == ELSEWHERE


@pytest.fixture
def notebook(tmp_path):
    """A notebook that tells which Python runs it."""
    cell = nbformat.v4.new_code_cell("import sys\n\nprint(sys.executable)", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", text=sys.executable + "\n")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), path)
    return path


def makefile(pattern):
    return re.search(pattern, (ROOT / "Makefile").read_text(), re.M)[1].split()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_name_the_kernel_that_the_makefile_installs(path):
    install = makefile(r"-m (ipykernel install .*)$")
    assert nbformat.read(path, as_version=4).metadata.kernelspec.name == install[install.index("--name") + 1]


@pytest.mark.usefixtures("astray")
def test_that_kernel_is_this_python(tmp_path):
    """For runs without --nbval-current-env, and in Jupyter."""
    install = [tmp_path if part == "--sys-prefix" else part for part in makefile(r"-m (ipykernel install .*)$")]
    subprocess.run([sys.executable, "-m", *install[:2], "--prefix", *map(str, install[2:])], check=True)
    kernels = KernelSpecManager(kernel_dirs=[str(tmp_path / "site/kernels"), str(tmp_path / "share/jupyter/kernels")])
    assert kernels.get_kernel_spec("vrpo_theory").argv[0] == sys.executable


@pytest.mark.usefixtures("astray")
def test_the_makefile_s_options_take_this_python(notebook):
    options = makefile(r"^NOTEBOOKS := \$\(TESTS\) (.*) notebooks$")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(notebook)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("astray")
def test_executing_takes_this_python(notebook):
    spec = importlib.util.spec_from_file_location("execute", ROOT / "notebooks" / "execute.py")
    execute = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(execute)
    execute.execute(notebook)
    (cell,) = nbformat.read(notebook, as_version=4).cells
    assert cell.outputs[0].text.strip() == sys.executable


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_looked_for_beside_a_notebook(path):
    """A copy in another folder runs: no relative path, no module of the notebooks' folder."""
    code = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code")
    assert not re.search(r"""["'](\.\.?/|(figures|notebooks|tests)/)""", code)
    assert not set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) & {p.stem for p in path.parent.glob("*.py")}


WITH_EXERCISES = [path for path in NOTEBOOKS if "<details>" in path.read_text()]


@pytest.mark.soak
@pytest.mark.parametrize("path", WITH_EXERCISES, ids=lambda p: p.stem)
def test_solutions_run_after_the_notebook(path):
    """The hidden solutions, in the names that the notebook leaves behind."""
    cells = nbformat.read(path, as_version=4).cells
    solutions = [code for c in cells for code in re.findall(r"<details>.*?```python\n(.*?)```", c.source, re.S)]
    assert len(solutions) >= 2
    names = {}
    for code in [*(c.source for c in cells if c.cell_type == "code"), *solutions]:
        exec(code, names)
