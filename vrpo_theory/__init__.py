"""Bias and variance of preference optimisation on masked diffusion language models: derived, checked, reduced.

Layers; a module imports only downwards, or inside its own folder; ``__main__`` files may import everything:

0. ``types``, ``randomness``, ``numerics``, ``rounding``, ``uncertainty``, ``errors``, ``files``, ``locks``,
   ``documents``, ``registry``, ``instances``: words, streams, arithmetic, errors of numbers, JSON. They may use each
   other.
1. ``checkpoints``: folders, headers, adapters, identity of models on disk.
2. ``statements``, ``designs``, ``weightings``, ``losses``, ``couplings``, ``models``, ``samplers``, ``data``: families
   of leaves.
3. ``schemes`` and ``scheme_text`` (how a score is sampled), ``elbo`` (the one formula), ``preference`` (score, loss,
   gradient), ``functionals`` (plug-in, jackknife, leave-one-out), ``batching``, ``packing`` (many masks of blocks in
   one sequence), ``convolution``. They may use each other.
4. ``exact`` (enumeration, laws and moments without noise), ``sampling`` (Monte Carlo, pools), ``store`` (evaluations
   that are kept).
5. ``auditing``, ``planning``, ``training``, ``scoring``, ``generation`` (answers written by a model), ``sharpness``,
   ``plotting``, ``tables``. They may use each other.
6. ``runs``: a user's inputs, what is kept of a run, what is said of it.
7. ``reproduce``: tables and figures. ``evaluation``: benchmarks through lm-evaluation-harness.
8. ``cli``.

The names below are imported when first used, so that ``import vrpo_theory`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # as below, for type checkers; one import per module
    # isort: off
    from vrpo_theory.auditing import audit as audit
    from vrpo_theory.couplings import Coupling as Coupling
    from vrpo_theory.data import read_pairs as read_pairs
    from vrpo_theory.designs import DESIGNS as DESIGNS
    from vrpo_theory.exact import (
        loss_moments as loss_moments,
        margin_moments as margin_moments,
        margin_variance as margin_variance,
        profiles as profiles,
        score_law as score_law,
        tabulate as tabulate,
        true_margin as true_margin,
    )
    from vrpo_theory.generation import generate as generate
    from vrpo_theory.losses import LOSSES as LOSSES, Loss as Loss
    from vrpo_theory.models import MODELS as MODELS, load_model as load_model
    from vrpo_theory.planning import Cost as Cost, plan as plan
    from vrpo_theory.preference import backward as backward, loss as loss
    from vrpo_theory.reproduce import EXHIBITS as EXHIBITS
    from vrpo_theory.runs.frames import frame as frame
    from vrpo_theory.samplers import SAMPLERS as SAMPLERS
    from vrpo_theory.sampling import (
        draw_pools as draw_pools,
        estimate_scores as estimate_scores,
        gradient_variance as gradient_variance,
        replicate as replicate,
    )
    from vrpo_theory.schemes import Scheme as Scheme
    from vrpo_theory.scoring import score_pairs as score_pairs
    from vrpo_theory.statements import STATEMENTS as STATEMENTS
    from vrpo_theory.store import Recorded as Recorded, SampleStore as SampleStore
    from vrpo_theory.training import PairObjective as PairObjective, dpo_loss as dpo_loss
    from vrpo_theory.types import (
        Budget as Budget,
        Case as Case,
        Estimate as Estimate,
        Masks as Masks,
        Moments as Moments,
        PreferencePair as PreferencePair,
        Profile as Profile,
        Response as Response,
    )
    from vrpo_theory.weightings import WEIGHTINGS as WEIGHTINGS

_HOMES = {
    "vrpo_theory.auditing": ("audit",),
    "vrpo_theory.couplings": ("Coupling",),
    "vrpo_theory.data": ("read_pairs",),
    "vrpo_theory.designs": ("DESIGNS",),
    "vrpo_theory.exact": (
        "loss_moments", "margin_moments", "margin_variance", "profiles", "score_law", "tabulate", "true_margin",
    ),
    "vrpo_theory.generation": ("generate",),
    "vrpo_theory.losses": ("LOSSES", "Loss"),
    "vrpo_theory.models": ("MODELS", "load_model"),
    "vrpo_theory.planning": ("Cost", "plan"),
    "vrpo_theory.preference": ("backward", "loss"),
    "vrpo_theory.reproduce": ("EXHIBITS",),
    "vrpo_theory.runs.frames": ("frame",),
    "vrpo_theory.samplers": ("SAMPLERS",),
    "vrpo_theory.sampling": ("draw_pools", "estimate_scores", "gradient_variance", "replicate"),
    "vrpo_theory.schemes": ("Scheme",),
    "vrpo_theory.store": ("Recorded", "SampleStore"),
    "vrpo_theory.scoring": ("score_pairs",),
    "vrpo_theory.statements": ("STATEMENTS",),
    "vrpo_theory.training": ("PairObjective", "dpo_loss"),
    "vrpo_theory.types": (
        "Budget", "Case", "Estimate", "Masks", "Moments", "PreferencePair", "Profile", "Response",
    ),
    "vrpo_theory.weightings": ("WEIGHTINGS",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)


if not TYPE_CHECKING:  # would make every name one of type Any

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'vrpo_theory' has no attribute {name!r}; public names: {', '.join(__all__)}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
