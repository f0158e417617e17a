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
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vrpo_theory' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
