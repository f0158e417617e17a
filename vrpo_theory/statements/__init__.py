"""Every statement of the paper as code, with its sharp form: pure numpy formulas, one file per family."""

from vrpo_theory.statements.base import STATEMENTS, Statement, random_instance

__all__ = ["STATEMENTS", "Statement", "random_instance"]
