"""Types that every layer uses: frozen, validated, and independent of any one model."""

from vrpo_theory.types._checks import as_count
from vrpo_theory.types.cases import ROLES, Case, Role, by_models
from vrpo_theory.types.masks import Budget, Form, Masks
from vrpo_theory.types.models import (
    GivesConditionals,
    LookUp,
    Model,
    Predictor,
    Recorder,
    Request,
    Trainable,
    block_length,
    gives_conditionals,
)
from vrpo_theory.types.moments import Estimate, Moments, Profile, combine, each
from vrpo_theory.types.packed import Packed, Packs, packs
from vrpo_theory.types.responses import SIDES, PreferencePair, Response, Side
from vrpo_theory.types.sampler import MaskSampler

__all__ = [
    "ROLES",
    "SIDES",
    "Budget",
    "Case",
    "Estimate",
    "Form",
    "GivesConditionals",
    "LookUp",
    "MaskSampler",
    "Masks",
    "Model",
    "Moments",
    "Packed",
    "Packs",
    "Predictor",
    "PreferencePair",
    "Profile",
    "Recorder",
    "Request",
    "Response",
    "Role",
    "Side",
    "Trainable",
    "as_count",
    "block_length",
    "by_models",
    "combine",
    "each",
    "gives_conditionals",
    "packs",
]
