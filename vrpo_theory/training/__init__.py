"""Training masked predictors: a supervised stage, then VRPO; addressed by step and resumable to the bit."""

from vrpo_theory.training.differentiable import dpo_loss
from vrpo_theory.training.initialization import initial
from vrpo_theory.training.loop import Objective, Schedule, train
from vrpo_theory.training.objective import PairObjective
from vrpo_theory.training.supervised import Supervised
from vrpo_theory.training.vrpo import Vrpo

__all__ = ["Objective", "PairObjective", "Schedule", "Supervised", "Vrpo", "dpo_loss", "initial", "train"]
