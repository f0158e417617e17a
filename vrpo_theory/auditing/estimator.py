"""An estimator as the auditor calls it: always one way, its answer checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch

from vrpo_theory.auditing.faults import EstimatorError, said
from vrpo_theory.auditing.toys import Toy
from vrpo_theory.errors import InputError

ARGUMENTS = ("model", "prompt_ids", "answer_ids", "n", "generator")


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

    Raises
    ------
    InputError
        If it is not callable, or does not take these arguments.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise InputError(f"an estimator is a callable, got {type(function).__name__}: pass the function itself")
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)
        signature = _signature(function)
        self.takes_batch_size = signature is not None and "batch_size" in signature.parameters
        if signature is not None:
            self._require_arguments(signature)

    def __call__(self, toy: Toy, n: int, batch_size: int | None, generator: torch.Generator) -> tuple[float, float]:
        """The estimate and its standard error, NaN where it gives none.

        Raises
        ------
        EstimatorError
            If the estimator raises.
        InputError
            If it returns anything but a finite number or a pair of them.
        """
        prompt, answer = (torch.tensor(ids, device=toy.predictor.device) for ids in (toy.prompt, toy.answer))
        more = {} if batch_size is None else {"batch_size": batch_size}
        place = cell_name(toy, n, batch_size)
        try:
            found = self.function(toy.predictor, prompt, answer, n, generator, **more)
        except (Exception, SystemExit) as error:
            raise EstimatorError(f"{self.name} raised {said(error)}, on {place}", error) from error
        return self._checked(found, place)

    def _require_arguments(self, signature: inspect.Signature) -> None:
        more = {"batch_size": None} if self.takes_batch_size else {}
        try:
            signature.bind(*ARGUMENTS, **more)
        except TypeError as error:
            raise InputError(
                f"{self.name}{signature} cannot be called with ({', '.join(ARGUMENTS)}): {error}; "
                "give it these five parameters in this order"
            ) from None

    def _checked(self, found: Any, place: str) -> tuple[float, float]:
        value, stderr = found if isinstance(found, tuple | list) and len(found) == 2 else (found, None)
        number = _number(value)
        if number is None or not math.isfinite(number):
            raise InputError(
                f"{self.name} returned {_short(found)}, on {place}: return the ELBO in nats as one finite number, "
                "or (number, standard error)"
            )
        error = math.nan if stderr is None else _number(stderr)
        # The spread of one value is NaN in many libraries: no standard error given.
        if error is None or error < 0 or math.isinf(error):
            raise InputError(
                f"{self.name} returned the standard error {_short(stderr)}, on {place}: give a number >= 0, or None"
            )
        return number, error


def cell_name(toy: Toy, n: int, batch_size: int | None) -> str:
    """Where a call was made, in words."""
    batch = "" if batch_size is None else f", batch size {batch_size}"
    return f"the {toy.name} toy (L = {toy.length}, n = {n}{batch})"


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # builtins without a signature
        return None


def _number(value: Any) -> float | None:
    """A real scalar as a float, None for anything else."""
    if getattr(value, "shape", None) is not None and math.prod(value.shape) == 1:  # tensors, and numpy's arrays
        try:
            value = value.item()
        except (RuntimeError, TypeError):  # a tensor without data
            return None
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # an int beyond the largest float
        return math.inf


def _short(value: object) -> str:
    shape = getattr(value, "shape", None) or ()
    return f"a {type(value).__name__} of shape {tuple(shape)}" if len(shape) else " ".join(repr(value).split())[:60]
