"""An estimator as the auditor calls it: found by name, called one way, its answer checked."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vrpo_theory.auditing.toys import Toy
from vrpo_theory.errors import InputError


class EstimatorError(RuntimeError):
    """The estimator raised an exception of its own (exit code 1)."""


class Estimator:
    """Calls ``function(model, prompt_ids, answer_ids, n, generator)`` and checks what comes back.

    Parameters
    ----------
    function : callable
        Returns the estimate in nats, or (estimate, standard error or None).

    Attributes
    ----------
    takes_batch_size : bool
        Whether the signature has a parameter ``batch_size``; only then it is passed.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise InputError(f"an estimator is a callable, got {type(function).__name__}: pass the function itself")
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        self.takes_batch_size = _takes(function, "batch_size")

    def __call__(self, toy: Toy, n: int, batch_size: int | None, generator: torch.Generator) -> tuple[float, float]:
        """The estimate and its standard error, NaN where it gives none.

        Raises
        ------
        EstimatorError
            If the estimator raises.
        InputError
            If it returns anything but a finite number or a pair of them.
        """
        prompt, answer = torch.tensor(toy.prompt), torch.tensor(toy.answer)
        more = {} if batch_size is None else {"batch_size": batch_size}
        try:
            found = self.function(toy.predictor, prompt, answer, n, generator, **more)
        except Exception as error:
            where = f"L={toy.length}, n={n}" + (f", batch_size={batch_size}" if more else "")
            raise EstimatorError(f"{self.name} raised {type(error).__name__}: {_line(error)} (at {where})") from error
        return self._checked(found)

    def _checked(self, found: Any) -> tuple[float, float]:
        value, stderr = found if isinstance(found, tuple | list) and len(found) == 2 else (found, None)
        number = _number(value)
        if number is None or not math.isfinite(number):
            raise InputError(
                f"{self.name} returned {_short(found)}: return the ELBO in nats as one finite number, "
                "or (number, standard error)"
            )
        error = math.nan if stderr is None else _number(stderr)
        # The spread of one value is NaN in many libraries: no standard error given.
        if error is None or error < 0 or math.isinf(error):
            raise InputError(f"{self.name} returned the standard error {_short(stderr)}: give a number >= 0, or None")
        return number, error


def load(name: str) -> Callable[..., Any]:
    """The callable that ``MODULE:FUNCTION`` names; the current directory is searched first.

    Raises
    ------
    InputError
        If there is no such module or attribute, or it is not callable.
    EstimatorError
        If importing the module raises.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise InputError(f"{name!r} does not name an estimator: write MODULE:FUNCTION, as in mytrainer.elbo:estimate")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"{name}: no module named {error.name!r} here or on the path: check the name") from error
    except Exception as error:
        raise EstimatorError(f"importing {module_name} raised {type(error).__name__}: {_line(error)}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise InputError(f"{name}: {module_name} has no {path!r}: check the name")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{name} is of type {type(found).__name__}: name a function")
    return found


def source_digest(function: Callable[..., Any]) -> str | None:
    """Hash of the file that a function was read from; None where there is no such file."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else None


def _takes(function: Callable[..., Any], parameter: str) -> bool:
    try:
        return parameter in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without a signature
        return False


def _number(value: Any) -> float | None:
    """A real scalar as a float, None for anything else."""
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            return None
        value = value.item()
    elif hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _short(value: Any) -> str:
    shape = getattr(value, "shape", ())
    return f"a {type(value).__name__} of shape {tuple(shape)}" if len(shape) else repr(value)[:60]


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
