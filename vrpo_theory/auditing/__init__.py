"""Compare any ELBO estimator with exact values.

``audit`` calls an estimator on toys whose ELBO is known, until sequential bounds decide; `diagnosis` names the mistake.
``zoo`` holds right and wrong estimators, each with the verdict it must get.
"""

from vrpo_theory.auditing.cells import AuditCell
from vrpo_theory.auditing.diagnosis import Finding
from vrpo_theory.auditing.faults import EstimatorError
from vrpo_theory.auditing.loading import load, source_digest
from vrpo_theory.auditing.losses import LossEstimator, recognised
from vrpo_theory.auditing.process_settings import changes, settings
from vrpo_theory.auditing.report import Audit, summary
from vrpo_theory.auditing.rules import AuditOptions, check_options
from vrpo_theory.auditing.runner import audit

__all__ = [
    "Audit",
    "AuditCell",
    "AuditOptions",
    "EstimatorError",
    "Finding",
    "LossEstimator",
    "audit",
    "changes",
    "check_options",
    "load",
    "recognised",
    "settings",
    "source_digest",
    "summary",
]
