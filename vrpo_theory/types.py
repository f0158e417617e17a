"""The words every layer speaks: frozen, validated, and free of any model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vrpo_theory.randomness import content_key

Form = Literal["time", "count"]
Role = Literal["policy", "reference"]
Side = Literal["chosen", "rejected"]

ROLES: tuple[Role, Role] = ("policy", "reference")
SIDES: tuple[Side, Side] = ("chosen", "rejected")


def _token_ids(ids: Sequence[int], name: str) -> tuple[int, ...]:
    try:
        tokens = tuple(int(i) for i in ids)
        exact = all(int(i) == i and not isinstance(i, bool) for i in ids)
    except (TypeError, ValueError):
        exact, tokens = False, ()
    if not exact or any(i < 0 for i in tokens):
        raise ValueError(f"{name} must be non-negative token ids, got {ids!r}: tokenize the text first")
    return tokens


@dataclass(frozen=True)
class Response:
    """A response of L tokens to a prompt, both as token ids.

    Parameters
    ----------
    prompt : sequence of int
        Prompt ids; may be empty.
    ids : sequence of int
        The L >= 1 response ids.

    Raises
    ------
    ValueError
        If an id is not a non-negative integer, or the response is empty.
    """

    prompt: tuple[int, ...]
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", _token_ids(self.prompt, "prompt"))
        object.__setattr__(self, "ids", _token_ids(self.ids, "ids"))
        if not self.ids:
            raise ValueError("a response needs at least one token, got none: drop the row or check truncation")

    @property
    def length(self) -> int:
        """L, the number of response tokens."""
        return len(self.ids)

    @cached_property
    def key(self) -> bytes:
        """Hash of the content; equal responses have equal keys, whatever row they came from."""
        return content_key(self.prompt, self.ids)


@dataclass(frozen=True)
class PreferencePair:
    """A chosen and a rejected response to the same prompt.

    Raises
    ------
    ValueError
        If the prompts differ or the responses are the same.
    """

    chosen: Response
    rejected: Response
    id: str = ""

    def __post_init__(self) -> None:
        if self.chosen.prompt != self.rejected.prompt:
            raise ValueError(f"pair {self.id!r}: chosen and rejected must answer the same prompt")
        if self.chosen.ids == self.rejected.ids:
            raise ValueError(f"pair {self.id!r}: chosen equals rejected: there is no preference in it")

    def side(self, side: Side) -> Response:
        """The response on one side, "chosen" or "rejected"."""
        return self.chosen if side == "chosen" else self.rejected

    def swapped(self) -> PreferencePair:
        """The same pair with the preference reversed."""
        return PreferencePair(self.rejected, self.chosen, self.id)


@dataclass(frozen=True)
class Case:
    """What exhibits loop over: two models and a preference pair.

    ``policy`` and ``reference`` follow `vrpo_theory.models.base.Model`.
    """

    policy: Any
    reference: Any
    pair: PreferencePair

    def model(self, role: Role) -> Any:
        """The model that plays a role, "policy" or "reference"."""
        return self.policy if role == "policy" else self.reference


def as_count(name: str, value: Any) -> int:
    """A number of things, one or more; ValueError, which names them, for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")
    return int(value)


@dataclass(frozen=True)
class Budget:
    """n_t timesteps with n_yt masks each; n = n_t n_yt forward passes (2505.19223v2, Eq. 6)."""

    n_t: int = 8
    n_yt: int = 1

    def __post_init__(self) -> None:
        for name in ("n_t", "n_yt"):
            object.__setattr__(self, name, as_count(name, getattr(self, name)))

    @property
    def n(self) -> int:
        """Forward passes per response and model."""
        return self.n_t * self.n_yt


def _frozen(value: Any, dtype: Any) -> NDArray[Any]:
    array = np.array(value, dtype=dtype)
    array.setflags(write=False)
    return array


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Masks:
    """n masks of one response, as a design drew them.

    Parameters
    ----------
    mask : (n, L) bool
        True where the token is masked.
    form : {"time", "count"}
        Whether ``level`` is t in (0, 1] (Eq. 12-13) or l in 1..L (Eq. 14-15).
    level : (n,) float
        t or l of each mask.
    block : (n,) int
        Independent replicate that the mask belongs to; non-decreasing. For iid timesteps, the timestep.
    weight : (n,) float
        Share of the whole estimate that the mask stands for (1/n for iid draws).
    """

    mask: NDArray[np.bool_]
    form: Form
    level: NDArray[np.float64]
    block: NDArray[np.int64]
    weight: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, dtype in (("mask", bool), ("level", float), ("block", np.int64), ("weight", float)):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype))
        n = len(self.mask)
        _require(self.mask.ndim == 2 and n > 0, f"mask must be (n, L) with n >= 1, got shape {self.mask.shape}")
        for name in ("level", "block", "weight"):
            shape = getattr(self, name).shape
            _require(shape == (n,), f"{name} must have shape ({n},), got {shape}")
        _require(self.form in ("time", "count"), f"form must be 'time' or 'count', got {self.form!r}")
        _require(bool(np.all(np.diff(self.block) >= 0)), "block must be non-decreasing: sort the draws by block")
        _require(bool(np.isfinite(self.weight).all()), "weight must be finite")
        if self.form == "count":
            _require(bool((self.mask.sum(1) == self.level).all()), "a count-form mask must mask exactly l tokens")
        else:
            _require(bool(((self.level > 0) & (self.level <= 1)).all()), "t must lie in (0, 1]")


@dataclass(frozen=True, eq=False)
class Profile:
    """What a response looks like to any design that sees masks through their count.

    For each count l = 0..L, the mean and the policy/reference covariance of the UNWEIGHTED masked sum
    S = sum over masked i of log p(y_i | visible), over uniform masks of l tokens. Free of L/l and 1/t.

    Parameters
    ----------
    mean : (L + 1, 2) float
        Mean of S under policy and reference, in nats.
    covariance : (L + 1, 2, 2) float
        Covariance of (S_policy, S_reference), in nats squared.
    draws : (L + 1,) int or None
        Masks behind each count; None means exact.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    draws: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "covariance"):
            object.__setattr__(self, name, _frozen(getattr(self, name), float))
        if self.draws is not None:
            object.__setattr__(self, "draws", _frozen(self.draws, np.int64))
        counts = len(self.mean)
        _require(self.mean.shape == (counts, 2) and counts >= 2, f"mean must be (L + 1, 2), got {self.mean.shape}")
        shape = self.covariance.shape
        _require(shape == (counts, 2, 2), f"covariance must be ({counts}, 2, 2), got {shape}")
        _require(
            bool(np.isfinite(self.mean).all()), "mean holds a non-finite value: check the model's log-probabilities"
        )

    @property
    def length(self) -> int:
        """L, the number of response tokens."""
        return len(self.mean) - 1


@dataclass(frozen=True)
class Moments:
    """Mean and variance components of an estimate built on iid timesteps (2505.19223v2, Lemma 5).

    Parameters
    ----------
    mean : float
        Expectation, in nats.
    v_time : float or None
        Variance over timesteps of the conditional mean; None where the draws cannot tell it.
    v_mask : float or None
        Mean over timesteps of the conditional variance; None where the draws cannot tell it.
    """

    mean: float
    v_time: float | None
    v_mask: float | None


def combine(parts: Sequence[Moments]) -> Moments:
    """Moments of a sum of independent parts; a component unknown in one part is unknown in the sum."""

    def add(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return math.fsum(known) if len(known) == len(values) else None

    mean = math.fsum(p.mean for p in parts)
    return Moments(mean, add([p.v_time for p in parts]), add([p.v_mask for p in parts]))


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error.

    Parameters
    ----------
    value : float
        NaN where it is undefined; ``note`` then says why.
    stderr : float or None
        None when exact or not identifiable; ``note`` says which.
    note : str
    df : float or None
        Degrees of freedom behind ``stderr``: its own relative error is about 1/sqrt(2 df).
    left_out : (G, T) float or None
        The value with each draw left out, G independent groups of T draws each. Estimates from the same draws carry
        it, so that functions of several of them have their joint error.
    """

    value: float
    stderr: float | None = None
    note: str = ""
    df: float | None = None
    left_out: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
