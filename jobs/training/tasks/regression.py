"""A number predicted from the characters of a table's rows: perceptron, LSTM, transformer encoder, linear function.

Owns the sections [data] and [model] of the task. Rows and their encoding are networks/data, models networks/regression.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from jobs.sections import FormulaText, Section
from jobs.training.sections import Train
from kernels.errors import RequestError
from kernels.expression import Formula, evaluate, parse
from networks.data.tables import DELIVERIES_ESTIMATION, DELIVERIES_FEATURES

if TYPE_CHECKING:
    from torch import nn

    from networks.data.tables import Columns, Encoded, Table
    from networks.regression.task import RegressionTask

Width = Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Data(Section, frozen=True, kw_only=True):
    """Rows of a CSV table and what is to be predicted from them."""

    path: str | None = None
    """A CSV file with a header, or a folder with one; this or a generator."""

    generator: Literal["deliveries"] | None = None
    """Makes a table with the header of the deliveries."""

    count: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 10_000
    """Rows to make, or to read at most."""

    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    """Of the generator, and of the choice of rows held back."""

    missing: Share | None = None
    """Share of entries that the generator leaves out, in the columns where that may be; its own unless given."""

    fields: dict[str, Width] = msgspec.field(default_factory=dict)
    """Columns and how many characters each has room for; those of the deliveries unless given."""

    alphabet: str = "0123456789. -:_"
    """All characters; `_` fills what is empty. `ascii` means all 128 of it, `digits` those of the deliveries."""

    too_long: Literal["cut", "error"] = "cut"
    """What becomes of a value that has no room."""

    compact: bool = False
    """Whether the characters of a row follow each other without places of their own, so that a missing value moves the
    others."""

    target: FormulaText = "elapsed_time"
    """What is predicted: a formula of the columns that hold numbers, their names in small letters with `_` for a blank."""

    linear_estimation: bool = False
    """Whether the column `Linear Estimation` is filled anew, rounded: least squares of the target on the deliveries' six
    numbers, over the rows that are trained on."""

    train_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.8
    """Share of the rows that is trained on."""

    shown: Annotated[int, msgspec.Meta(ge=2, le=2000)] = 200
    """Predictions and pairs of rows that are stored."""


class Model(Section, frozen=True, kw_only=True):
    """What predicts."""

    form: Literal["perceptron", "recurrent", "encoder", "linear"] = "perceptron"
    """Dense layers; an LSTM; a transformer encoder; a linear function of all characters."""

    hidden: tuple[Width, ...] = (500, 100, 20)
    """Sizes of a perceptron's layers between the first and the last."""

    width: Width = 64
    """Size of the LSTM's state, and of the dense layer after the encoder."""

    extra_width: Annotated[int, msgspec.Meta(ge=0, le=1 << 16)] = 0
    """Size of one more dense layer behind that of the encoder; 0: none."""

    depth: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    """Layers of the LSTM and of the encoder."""

    heads: Width = 5
    """Heads of the encoder; they divide the number of characters in the alphabet."""

    feed_forward: Width = 280
    """Width of the encoder's dense layers."""

    dropout: Share = 0.0
    """Share of the activations that is left out in training."""

    positions: bool = True
    """Whether the encoder is told the places of the characters."""

    rectified: bool = False
    """Whether the encoder's number cannot be negative."""

    loss: Literal["absolute", "squared"] = "absolute"
    """What is made small."""

    scale: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    """The model's own number is multiplied by this; near the size of the targets it learns faster."""


DATA, MODEL = Data, Model


def check(data: Data, model: Model, train: Train) -> None:
    """Refuse sections that no table or model can be made of."""
    del train
    if (data.path is None) == (data.generator is None):
        raise RequestError("data.path: give this or data.generator, and not both")
    if data.path is not None and not Path(data.path).expanduser().exists():
        raise RequestError(f"data.path: there is no {data.path}; name a CSV file")
    if data.missing is not None and data.generator is None:
        raise RequestError("data.missing: is for a generator; a file has what it has")
    encoding = _encoding(data)
    if model.form == "encoder" and len(encoding.alphabet) % model.heads:
        raise RequestError(f"model.heads: {model.heads} does not divide the {len(encoding.alphabet)} of data.alphabet")
    if data.linear_estimation and DELIVERIES_ESTIMATION not in encoding.places:
        raise RequestError(f"data.linear_estimation: needs room for {DELIVERIES_ESTIMATION!r} in data.fields")
    _target(data)


def manifest(data: Data) -> Mapping[str, Any]:
    """The file's size and sum, or what the generator is asked for."""
    from networks.data import sources

    if data.generator is None:
        from networks.data.tables import read

        assert data.path is not None
        file = read(Path(data.path).expanduser(), 1).path
        return sources.describe_files([file], sources.licence_beside(file.parent))
    return sources.describe_generated(data.generator, data.count, data.seed, _parameters(data))


def task(data: Data, model: Model, *, seed: int) -> RegressionTask:
    """The problem of one run."""
    from networks.regression.task import RegressionTask

    encoding = _encoding(data)
    formula = _target(data)

    def load() -> Encoded:
        from networks.data import sources, tables

        place = sources.locate(data.path, data.generator, data.count, data.seed, _parameters(data))
        table = tables.read(place, data.count)
        target = functools.partial(_values, formula)
        revise = _estimated if data.linear_estimation else None
        return tables.encode(table, encoding, target, data.train_share, data.seed, revise)

    return RegressionTask(
        load,
        _builder(encoding.num_characters, len(encoding.alphabet), model),
        loss=model.loss,
        compact=data.compact,
        num_shown=data.shown,
        scale=model.scale,
        seed=seed,
        estimation=DELIVERIES_ESTIMATION if data.linear_estimation else None,
    )


def _builder(length: int, symbols: int, model: Model) -> Callable[[], nn.Module]:
    from networks.regression import models

    match model.form:
        case "perceptron":
            return lambda: models.Perceptron(length, symbols, model.hidden, model.dropout)
        case "recurrent":
            return lambda: models.Recurrent(symbols, model.width, model.depth, model.dropout)
        case "linear":
            return lambda: models.Linear(length, symbols)
        case "encoder":
            return lambda: models.Encoder(
                length,
                symbols,
                depth=model.depth,
                heads=model.heads,
                feed_forward=model.feed_forward,
                hidden=(model.width, *([model.extra_width] if model.extra_width else [])),
                dropout=model.dropout,
                positions=model.positions,
                rectified=model.rectified,
            )


def _estimated(table: Table, target: Any, train: Any) -> Table:
    """The table with the linear estimate in its column."""
    from networks.regression.estimation import with_estimates

    return with_estimates(table, target, train, column=DELIVERIES_ESTIMATION, features=DELIVERIES_FEATURES)


def _parameters(data: Data) -> dict[str, float]:
    return {} if data.missing is None else {"missing": data.missing}


def _encoding(data: Data) -> Any:
    from networks.data.fixed_width import ALPHABETS, Field, FixedWidth
    from networks.data.tables import DELIVERIES

    fields = tuple(Field(name, width) for name, width in data.fields.items()) or DELIVERIES
    return FixedWidth(fields, ALPHABETS.get(data.alphabet, data.alphabet), data.too_long)


def _target(data: Data) -> Formula:
    """The target over the columns that there are."""
    return parse(data.target, names=[_called(name) for name in _header(data)], key="data.target")


def _header(data: Data) -> Sequence[str]:
    """Names of the columns."""
    if data.path is None:
        from networks.data.generators.deliveries import HEADER

        return HEADER
    from networks.data.tables import read

    return tuple(read(Path(data.path).expanduser(), 1).columns)


def _called(column: str) -> str:
    """What a column is called in formulas."""
    return column.lower().replace(" ", "_")


def _values(formula: Formula, columns: Columns) -> Any:
    """The target of every row; NaN where something in it is missing."""
    known = {_called(name): values for name, values in columns.items()}
    missing = sorted(formula.names - known.keys())
    if missing:
        raise RequestError(f"data.target: no column of numbers is called {missing[0]}; there are {', '.join(known)}")
    with np.errstate(all="ignore"):
        return evaluate.numpy(formula, {name: known[name] for name in formula.names})
