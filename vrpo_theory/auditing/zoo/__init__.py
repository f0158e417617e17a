"""Right and wrong ELBO estimators, each an ordinary function with the verdict it must get.

``vrpo audit vrpo_theory.auditing.zoo:rounded_counts`` audits one of them.
"""

from typing import Any

from vrpo_theory.auditing.zoo import conduct, levels, right, scores  # noqa: F401  (members enter when imported)
from vrpo_theory.auditing.zoo.specimens import ZOO, Specimen

__all__ = ["ZOO", "Specimen"]


def __getattr__(name: str) -> Any:
    if name in ZOO:
        return ZOO[name].estimator
    raise AttributeError(f"the zoo has no {name!r}; it has: {', '.join(ZOO)}")
