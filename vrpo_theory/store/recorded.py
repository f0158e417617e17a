"""A model whose evaluations are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.errors import InputError
from vrpo_theory.store.samples import SampleStore
from vrpo_theory.types import Model, Request, Response


@dataclass(frozen=True, eq=False)
class Recorded:
    """A model beside its record, in the model's place (`vrpo_theory.types.Recorder`).

    What the store knows is not evaluated; what is evaluated is recorded as soon as its batch is done, so that an
    interruption loses one batch at most. Resumed at equal ``batch_tokens``, device and threads, a run's numbers are
    those of an unbroken recorded run, bit for bit; and those of a run without a store, unless masks repeat. With other
    batches they may differ as far as the model's do: by `vrpo_theory.rounding.of_tokens`, tables by nothing.

    Everything else (device, dtype, vocabulary, parameters, ...) is the model's; gradients are never recorded.

    Parameters
    ----------
    model : Model or None
        None answers from the store alone.
    store : SampleStore
    known_as : str
        The fingerprint to look under where there is no model; a model's own is read anew each time, so that a record
        never outlives a change of weights.

    Examples
    --------
    >>> import tempfile
    >>> from vrpo_theory import MODELS, elbo
    >>> model, response = MODELS["shock"].case(0, 3).policy, Response((), (0, 1, 1))
    >>> with tempfile.TemporaryDirectory() as folder, SampleStore.open(folder, {}) as store:
    ...     _ = elbo.terms([(response, np.eye(3, dtype=bool))], Recorded(model, store))
    ...     Recorded(None, store, model.fingerprint).recall(response, np.eye(3, dtype=bool))[1]
    array([ True,  True,  True])
    """

    model: Model | None
    store: SampleStore
    known_as: str = ""

    def __post_init__(self) -> None:
        if self.model is None and not self.known_as:
            raise ValueError("without a model the store needs known_as, the fingerprint of the model that was recorded")

    @property
    def fingerprint(self) -> str:
        """Hash of everything that fixes the numbers."""
        return self.known_as if self.model is None else self.model.fingerprint

    def recall(self, response: Response, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See `vrpo_theory.types.Recorder.recall`."""
        return self.store.recall(self.fingerprint, response, mask)

    def evaluator(self, missing: int) -> Model:
        """The model; InputError, with the number of missing evaluations, if there is none."""
        if self.model is None:
            raise InputError(
                f"{self.store.folder} lacks {missing} evaluations of model {self.known_as[:8]}: "
                "finish the recorded run with the model, or ask for what it recorded"
            )
        return self.model

    def record(self, batch: Sequence[Request], values: Sequence[NDArray[np.float64]]) -> None:
        """See `vrpo_theory.types.Recorder.record`."""
        self.store.record(self.fingerprint, batch, values)

    def __getattr__(self, name: str) -> Any:
        if name == "model" or self.model is None:
            raise AttributeError(f"{type(self).__name__} has no {name}: it needs the model for that")
        return getattr(self.model, name)
