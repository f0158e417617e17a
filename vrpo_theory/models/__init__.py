"""Masked predictors, one module each, imported by name when asked for.

``MODELS["markov"]`` is a module; a toy's module exports ``case(seed, length)``, and all models follow
`vrpo_theory.models.base.Model`.
"""

import warnings

from vrpo_theory._registry import Modules

# tqdm, as transformers imports it, advises in notebooks to install widgets that nothing here uses.
warnings.filterwarnings("ignore", message="IProgress not found")

MODELS = Modules("model", "vrpo_theory.models")

__all__ = ["MODELS"]
