"""Regression from structured sequences: what each model is, and what the task leaves of a trained one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from kernels.errors import RequestError
from networks.data import sources, tables
from networks.data.fixed_width import Field, FixedWidth
from networks.regression import models
from networks.regression.estimation import with_estimates
from networks.regression.fitting import correlation, determination, least_squares, pair_distances
from networks.regression.task import RegressionTask

LENGTH, SYMBOLS = 35, 15


def ten_deliverers(columns: tables.Columns) -> np.ndarray:
    return 10 * columns["Total Deliverers"]


def cost_times_busy(columns: tables.Columns) -> np.ndarray:
    return columns["Cost"] / 100 * columns["Busy Deliverers"]


def make_task(
    build: Callable[[], nn.Module],
    *,
    count: int = 400,
    compact: bool = False,
    cost_width: int = 5,
    target: Callable[[tables.Columns], np.ndarray] = ten_deliverers,
) -> RegressionTask:
    fields = tuple(Field(one.name, cost_width) if one.name == "Cost" else one for one in tables.DELIVERIES)

    def load() -> tables.Encoded:
        table = tables.read(sources.generated("deliveries", count, 1))
        return tables.encode(table, FixedWidth(fields, too_long="cut"), target)

    return RegressionTask(load, build, loss="absolute", compact=compact, num_shown=100, scale=100.0, seed=1)


def train(task: RegressionTask, model: nn.Module, epochs: int, batch: int = 64) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(task.num_samples)
        for start in range(0, len(order) - batch + 1, batch):
            rows = task.batch(order[start : start + batch].tolist())
            optimiser.zero_grad()
            (task.loss(model, rows) / batch).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 30.0)
            optimiser.step()


def perceptron() -> nn.Module:
    return models.Perceptron(LENGTH, SYMBOLS, (100, 20), 0.0)


def test_the_text_s_encoding_has_525_inputs() -> None:
    task = make_task(perceptron)
    assert task.batch([0, 1])["symbols"].shape == (2, 35, 15)
    assert sum(layer.in_features for layer in perceptron().layers[:1]) == 525  # type: ignore[union-attr, misc]


def test_least_squares_is_numpy_s() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 6)), generator.normal(size=50)
    fit = least_squares(x, y)
    direct = np.linalg.lstsq(np.column_stack((x, np.ones(50))), y, rcond=None)[0]
    np.testing.assert_allclose([*fit.weights, fit.bias], direct, rtol=1e-8)
    np.testing.assert_allclose(fit(x), x @ direct[:6] + direct[6], rtol=1e-8)


def test_least_squares_finds_an_exact_law() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    fit = least_squares(x, x @ [1.0, -2.0, 3.0] + 4.0)
    np.testing.assert_allclose(fit.weights, [1, -2, 3], rtol=1e-12)
    assert fit.bias == pytest.approx(4.0)


def test_missing_features_count_as_their_mean() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 3)), generator.normal(size=50)
    x[7, 1] = x[9, 2] = np.nan
    filled = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    fit, direct = least_squares(x, y), least_squares(filled, y)
    np.testing.assert_allclose([*fit.weights, fit.bias], [*direct.weights, direct.bias], rtol=1e-10)
    np.testing.assert_allclose(fit(x), direct(filled), rtol=1e-10)


def test_a_feature_that_is_never_there_has_no_weight() -> None:
    x = np.column_stack((np.arange(5.0), np.full(5, np.nan)))
    fit = least_squares(x, 2 * x[:, 0])
    np.testing.assert_allclose(fit.weights, [2, 0], atol=1e-12)
    np.testing.assert_allclose(fit(x), 2 * x[:, 0], atol=1e-12)


def test_estimates_are_least_squares_of_the_rows_trained_on() -> None:
    table = tables.read(sources.generated("deliveries", 300, 1))
    target, train = table.numbers["Elapsed Time"], np.arange(200)
    features = tables.DELIVERIES_FEATURES
    assert len(features) == 6
    revised = with_estimates(table, target, train, column="Linear Estimation", features=features)
    x = np.column_stack([table.numbers[name] for name in features])
    means = np.nanmean(x[train], axis=0)
    full = np.column_stack((np.where(np.isnan(x), means, x), np.ones(300)))
    weights = np.linalg.lstsq(full[train], target[train], rcond=None)[0]
    np.testing.assert_allclose(revised.numbers["Linear Estimation"], full @ weights, rtol=0, atol=0.5 + 1e-6)
    assert revised.columns["Cost"] == table.columns["Cost"]

    # Rows held back say nothing
    other = np.where(np.arange(300) < 200, target, 0.0)
    again = with_estimates(table, other, train, column="Linear Estimation", features=features)
    assert again.columns == revised.columns


def test_estimates_need_numbers() -> None:
    table = tables.read(sources.generated("deliveries", 20, 1))
    with pytest.raises(RequestError, match=r"column 'Order Made' holds no numbers"):
        with_estimates(table, np.zeros(20), np.arange(10), column="a", features=["Order Made"])
    with pytest.raises(RequestError, match="has no column 'Costs'; did you mean 'Cost'"):
        with_estimates(table, np.zeros(20), np.arange(10), column="a", features=["Costs"])
    endless = dataclasses.replace(table, columns={**table.columns, "Cost": ("inf", *table.columns["Cost"][1:])})
    with pytest.raises(RequestError, match="column 'Cost' has a number that is not finite"):
        with_estimates(endless, np.zeros(20), np.arange(10), column="a", features=["Cost"])


def test_measures() -> None:
    actual = np.array([1.0, 2.0, 3.0])
    assert determination(actual, actual) == 1
    assert determination(np.full(3, 2.0), actual) == 0
    assert correlation(actual, -actual) == pytest.approx(-1)
    apart = pair_distances(np.array([[0.0, 0], [1, 2], [1, 1]]))
    assert apart.tolist() == [3, 2, 1]
    assert np.isnan(correlation(apart[:0], apart[:0]))


def make_encoder(*, positions: bool, seed: int = 0) -> models.Encoder:
    torch.manual_seed(seed)
    return models.Encoder(
        LENGTH,
        SYMBOLS,
        depth=2,
        heads=5,
        feed_forward=40,
        hidden=(50, 10),
        dropout=0.1,
        positions=positions,
        rectified=True,
    ).eval()


@torch.no_grad()
def test_an_encoder_without_positions_is_equivariant() -> None:
    x = torch.randn(4, LENGTH, SYMBOLS)
    order = torch.randperm(LENGTH)
    plain, told = make_encoder(positions=False), make_encoder(positions=True)
    assert (plain.encoded(x)[:, order] - plain.encoded(x[:, order])).abs().max() < 1e-5
    assert (told.encoded(x)[:, order] - told.encoded(x[:, order])).abs().max() > 1e-2
    assert (plain(x) - plain(x[:, order])).abs().max() > 1e-6
    assert plain(x).min() >= 0
    assert plain.features(x).shape == (4, 10)


@torch.no_grad()
def test_a_rectified_encoder_begins_where_it_can_learn() -> None:
    x = nn.functional.one_hot(torch.randint(SYMBOLS, (8, LENGTH)), SYMBOLS).float()
    assert all((make_encoder(positions=True, seed=seed)(x) > 0).all() for seed in range(20))


def test_positions_are_sines_and_cosines() -> None:
    table = models.sinusoids(7, 15)
    assert table.shape == (7, 15)
    assert table[0].tolist() == [0.0, 1.0] * 7 + [0.0]
    np.testing.assert_allclose(table[:, 0], np.sin(np.arange(7)), atol=1e-6)
    assert "positions" not in dict(make_encoder(positions=True).state_dict())


@pytest.mark.parametrize(
    "build", [perceptron, lambda: models.Recurrent(SYMBOLS, 8, 2, 0.1), lambda: models.Linear(35, 15)]
)
def test_loss_is_a_sum_over_rows(build: Callable[[], nn.Module]) -> None:
    task = make_task(build)
    torch.manual_seed(0)
    model = task.model().eval()
    with torch.no_grad():
        whole = float(task.loss(model, task.batch([0, 1, 2])))
        parts = [float(task.loss(model, task.batch([row]))) for row in range(3)]
    assert whole == pytest.approx(sum(parts), rel=1e-5)
    assert task.weight(task.batch([0, 1, 2])) == 3


def test_determination_of_batches_adds_up() -> None:
    task = make_task(perceptron)
    torch.manual_seed(0)
    model = task.model().eval()
    count = task.num_evaluation_samples
    batches = [task.evaluation_batch(range(start, min(start + 20, count))) for start in range(0, count, 20)]
    with torch.no_grad():
        summed = sum(task.evaluate(model, batch)["determination"] for batch in batches)
    assert summed / task.num_evaluation_samples == pytest.approx(
        float(task.finish(model)["final_determination"]), abs=1e-4
    )


def test_a_trained_layer_embeds_the_target() -> None:
    task = make_task(perceptron, count=2000)
    torch.manual_seed(1)
    model = task.model()
    train(task, model, epochs=12)
    found = task.finish(model.eval())
    assert {one.name for one in task.results} == found.keys()
    assert all(found[one.name].shape == one.shape for one in task.results)
    assert found["final_determination"] > 0.9
    assert found["embedding"] > 0.9
    assert found["embedding_untrained"] < 0.3


def test_all_pairs_of_rows_held_back_are_looked_at() -> None:
    task = make_task(perceptron)
    torch.manual_seed(1)
    model = task.model().eval()
    found = task.finish(model)
    rows = task.evaluation_batch(range(task.num_evaluation_samples))
    with torch.no_grad():
        features = model.features(rows["symbols"]).double()  # type: ignore[operator]
    first, second = np.triu_indices(len(features), 1)
    targets = rows["target"].double()
    between, apart = (targets[first] - targets[second]).abs(), (features[first] - features[second]).abs().sum(1)
    expected = np.corrcoef(between.numpy(), apart.numpy())[0, 1]
    assert found["embedding"] == pytest.approx(expected, abs=1e-6)
    assert set(found["target_distance"]) <= set(between.tolist())


def test_one_row_held_back_has_no_pairs() -> None:
    table = tables.read(sources.generated("deliveries", 10, 1))
    encoded = tables.encode(table, FixedWidth(tables.DELIVERIES, too_long="cut"), ten_deliverers, train_share=0.9)
    task = RegressionTask(lambda: encoded, perceptron, loss="absolute", compact=False, num_shown=3, scale=1.0, seed=0)
    assert task.num_evaluation_samples == 1
    found = task.finish(task.model().eval())
    assert np.isnan(found["embedding"])
    assert np.isnan(found["feature_distance"]).all()


def test_numbers_are_scaled_in_float32_whatever_the_precision() -> None:
    task = make_task(perceptron)
    torch.manual_seed(0)
    model, rows = task.model().eval(), task.batch(range(64))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        said = model(rows["symbols"])
        loss, evaluated = task.loss(model, rows), task.evaluate(model, rows)["loss"]
    exact = (100.0 * said.float() - rows["target"]).abs().sum()
    assert said.dtype == torch.bfloat16
    assert float(loss) == evaluated == float(exact)


def test_cut_costs_are_predicted_too_low() -> None:
    """A cost of five digits in room for four is read as a tenth of itself."""
    shares = {}
    for width in (5, 4):
        length = LENGTH - 5 + width
        task = make_task(
            functools.partial(models.Perceptron, length, SYMBOLS, (100, 20), 0.0),
            count=4000,
            cost_width=width,
            target=cost_times_busy,
        )
        if width == 5:
            costs = np.array([float(row[3]) for row in task.rows.encoding.decode(task.rows.codes[task.rows.valid])])
            assert task.rows.encoding.fields[3].name == "Cost"
            five_digits = torch.from_numpy(costs >= 10_000)
            assert 10 < five_digits.sum() < 100
        torch.manual_seed(1)
        model = task.model()
        train(task, model, epochs=20)
        rows = task.evaluation_batch(range(task.num_evaluation_samples))
        with torch.no_grad():
            predicted = 100 * model.eval()(rows["symbols"])
        shares[width] = float(predicted[five_digits].sum() / rows["target"][five_digits].sum())
    assert shares[5] > 0.8
    assert shares[4] < 0.5


def test_compact_rows_lose_their_places() -> None:
    fixed, compact = make_task(perceptron), make_task(perceptron, compact=True)
    assert np.array_equal(np.sort(fixed.codes, axis=1), np.sort(compact.codes, axis=1))
    assert not np.array_equal(fixed.codes, compact.codes)


def test_few_rows_leave_nan() -> None:
    task = make_task(perceptron, count=100)
    found = task.finish(task.model().eval())
    assert np.isnan(found["actual"]).sum() == 100 - task.num_evaluation_samples > 0
