"""Arms of the training study: runs that differ in one thing, each kept under what made it."""

from vrpo_theory.training.arms.arm import Arm
from vrpo_theory.training.arms.questions import exam, pair
from vrpo_theory.training.arms.runs import TrainedArm, finished, prepare

__all__ = ["Arm", "TrainedArm", "exam", "finished", "pair", "prepare"]
