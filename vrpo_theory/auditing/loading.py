"""An estimator found by name: its module is imported, which executes it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vrpo_theory.auditing.faults import EstimatorError, own_frames, said
from vrpo_theory.errors import InputError

HOW = "write MODULE:FUNCTION, as in my_trainer:elbo or my_package.trainer:elbo"


def load(name: str, method: str = "") -> Any:
    """The callable that ``MODULE:FUNCTION`` names, or an object with that method; the current directory comes first.

    Raises
    ------
    InputError
        If there is no such module or attribute, or it is not callable.
    EstimatorError
        If the module fails while it is imported.
    """
    module_name, colon, path = name.partition(":")
    if not (colon and path and all(module_name.split("."))):
        raise InputError(f"{name!r} does not name an estimator: {HOW}")
    if "/" in module_name or module_name.endswith(".py"):
        stem = Path(module_name).stem
        raise InputError(f"{name!r} names a file: go to its folder and name the module, as in {stem}:{path}")
    return _found(name, _imported(module_name), path, method)


def _imported(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here != sys.path[0]:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        raise EstimatorError(f"importing {name}: no valid Python ({place}: {error.msg})", error) from error
    except ModuleNotFoundError as error:
        if own_frames(error) is None:  # nothing of the module ran
            raise InputError(f"no module named {error.name!r} in {here} or on the path: {HOW}") from error
        fix = "install what it needs, or go to the folder that has it"
        raise EstimatorError(f"importing {name} raised {said(error)}: {fix}", error) from error
    except SystemExit as error:
        guard = "the import executes the module: put what a script does under if __name__ == '__main__'"
        raise EstimatorError(f"importing {name} ended with SystemExit({error.code!r}): {guard}", error) from error
    except Exception as error:
        raise EstimatorError(f"importing {name} raised {said(error)}", error) from error


def _found(name: str, module: ModuleType, path: str, method: str) -> Any:
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise InputError(f"no {path!r} in {_origin(module)}: {_functions(module)}")
        found = getattr(found, part)
    if not (callable(found) or hasattr(found, method)):
        raise InputError(f"{name} is of type {type(found).__name__}, not a function: {_functions(module)}")
    return found


def _origin(module: ModuleType) -> str:
    return f"{module.__name__} ({getattr(module, '__file__', None) or 'no file'})"


def _functions(module: ModuleType) -> str:
    own = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return f"its functions are {', '.join(own)}" if own else "it defines no function"


def source_digest(function: Callable[..., Any]) -> str | None:
    """Hash of the file that a function was read from; None where there is no such file."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else None
