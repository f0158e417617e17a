"""Run the notebooks in place and keep their text: ``python notebooks/execute.py [NAME.ipynb ...]``.

The kernel is the Python that runs this script, whatever Jupyter calls ``python3``. Pictures are left out of what is
stored; ``figures/`` holds them.
"""

import sys
from pathlib import Path

import nbformat
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient

HERE = Path(__file__).parent


class OwnKernel(KernelSpecManager):
    """Finds this Python's kernel and no other: JUPYTER_PATH may lead to another environment's."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


def execute(path: Path) -> None:
    """Execute one notebook and store it without images and run times."""
    notebook = nbformat.read(path, as_version=4)
    manager = AsyncKernelManager(kernel_spec_manager=OwnKernel())
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, manager, timeout=600, coalesce_streams=True, resources=where).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("image/png", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(p.name for p in HERE.glob("*.ipynb")):
        execute(HERE / name)
