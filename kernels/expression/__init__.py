"""The formula language of job files: text to a checked tree, and the value of that tree.

`parse` checks; `evaluate.numpy` and `evaluate.decimal` compute. Must never execute what a formula says as a program.
"""

from kernels.expression.errors import FormulaError
from kernels.expression.parse import parse
from kernels.expression.tree import RESERVED, Formula

__all__ = ["RESERVED", "Formula", "FormulaError", "parse"]
