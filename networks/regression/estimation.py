"""A linear estimate as a column of its own, for a model that takes another one's output as input (H5-85).

Owns the filling of the column. Least squares are in `fitting`, tables in networks/data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kernels.errors import RequestError
from networks.data.tables import Table
from networks.regression.fitting import Floats, least_squares


def with_estimates(
    table: Table, target: Floats, train: NDArray[np.int64], *, column: str, features: Sequence[str]
) -> Table:
    """The table with `column` replaced, or added: the estimate of each row's `target`, rounded to a whole number.

    Least squares of the rows `train` alone on the columns `features`; a missing number counts as the mean of the others.
    Raises RequestError for a feature that the table has not, or that is no number.
    """
    for name in features:
        table.text(name)
        if name not in table.numbers:
            raise RequestError(f"data file {table.path}: column {name!r} holds no numbers to estimate from")
        if np.isinf(table.numbers[name]).any():
            raise RequestError(f"data file {table.path}: column {name!r} has a number that is not finite")
    x = np.column_stack([table.numbers[name] for name in features])
    estimates = least_squares(x[train], target[train])(x)
    texts = tuple(str(int(value)) for value in np.rint(estimates))
    return dataclasses.replace(table, columns={**table.columns, column: texts})
