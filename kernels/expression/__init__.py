"""The formula language of job files: text to a checked tree, and the value or the device code of that tree.

`parse` checks; `definitions` puts in what a user defines; `evaluate.numpy` and `evaluate.decimal` compute; `lower` makes
device code of a map. Must never execute what a formula says as a program.
"""

from kernels.expression.errors import FormulaError
from kernels.expression.parse import parse
from kernels.expression.tree import RESERVED, Formula

__all__ = ["RESERVED", "Formula", "FormulaError", "parse"]
