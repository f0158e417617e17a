"""Bias and variance of preference optimisation on masked diffusion language models: derived, checked, reduced.

Layers. A module imports from its own folder and from the layers below. In layers 0, 2, 4 and 5 it may also use its
neighbours; the families of layer 1 know nothing of each other, nor do the engines of layer 3:

0. ``types``, ``randomness``, ``numerics``, ``rounding``, ``uncertainty``, ``errors``, ``files``, ``documents``,
   ``_registry``: words, streams, arithmetic, errors of numbers, JSON.
1. ``statements``, ``designs``, ``weightings``, ``couplings``, ``models``, ``data``: families of leaves.
2. ``schemes`` (how a score is sampled), ``elbo`` (the one formula), ``preference`` (score, loss, gradient),
   ``functionals`` (plug-in, jackknife, leave-one-out), ``batching``, ``convolution``, ``parameters``.
3. ``exact`` (enumeration, laws and moments without noise) and ``sampling`` (Monte Carlo, pools, the store).
4. ``auditing``, ``planning``, ``training``, ``sharpness``, ``plotting``, ``tables``.
5. ``reproduce`` (tables and figures), ``scoring``, ``recording``, ``inputs``, ``options``, ``console``, ``cli``,
   ``__main__``.

The names below are imported when first used, so that ``import vrpo_theory`` stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "vrpo_theory.auditing": ("audit",),
    "vrpo_theory.couplings": ("Coupling",),
    "vrpo_theory.data": ("read_pairs",),
    "vrpo_theory.designs": ("DESIGNS",),
    "vrpo_theory.exact": (
        "loss_moments", "margin_moments", "margin_variance", "profiles", "score_law", "tabulate", "true_margin",
    ),
    "vrpo_theory.models": ("MODELS",),
    "vrpo_theory.models._loading": ("load_model",),
    "vrpo_theory.planning": ("Cost", "plan"),
    "vrpo_theory.preference": ("backward", "loss"),
    "vrpo_theory.reproduce": ("EXHIBITS",),
    "vrpo_theory.sampling": ("draw_pools", "estimate_scores", "gradient_variance", "replicate"),
    "vrpo_theory.sampling.store": ("Recorded", "SampleStore"),
    "vrpo_theory.schemes": ("Scheme",),
    "vrpo_theory.scoring": ("score_pairs",),
    "vrpo_theory.statements": ("STATEMENTS",),
    "vrpo_theory.types": (
        "Budget", "Case", "Estimate", "Masks", "Moments", "PreferencePair", "Profile", "Response",
    ),
    "vrpo_theory.weightings": ("WEIGHTINGS",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vrpo_theory' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
