"""Regression against torch's losses and scikit-learn's metrics, in the targets' own unit."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor
from torch.nn import functional as F

from ftune.config.fields import block, settings_of
from ftune.config.load import Language
from ftune.errors import ConfigError
from ftune.tasks import TASKS
from ftune.tasks.regression import Regression
from ftune.tasks.regression_task import RegressionTask


@dataclass(frozen=True)
class Root:
    task: Regression = block(TASKS)


def to_euros(scaled: Tensor) -> Tensor:
    return scaled * 250.0 + 1e6


def build(targets: tuple[str, ...] = ("price",), **settings: Any) -> RegressionTask:
    config = Language(Root).of({"task": {"name": "regression", **settings}})
    return config.task.build((), targets, torch.zeros(1, len(targets)), to_euros, 0)


def sample(rows: int, targets: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(rows, targets, generator=generator)
    return y + 0.4 * torch.randn(rows, targets, generator=generator), y


def batch(task: RegressionTask, y: Tensor, raw: Tensor | None = None) -> dict[str, Tensor]:
    """A batch whose file holds `raw`, by default exactly what the task makes of y."""
    return {"y": y, "raw": task.invert(y.double()) if raw is None else raw}


def measured(task: RegressionTask, outputs: Tensor, y: Tensor, size: int = 7,
             raw: Tensor | None = None) -> dict[str, float]:  # fmt: skip
    metrics, whole = task.metrics(), batch(task, y, raw)
    for start in range(0, len(y), size):
        part = {name: tensor[start : start + size] for name, tensor in whole.items()}
        metrics.update(outputs[start : start + size], part)
    return metrics.compute()


@pytest.mark.parametrize("targets", [("price",), ("price", "rent")])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_loss_is_torchs_mean(loss: str, targets: tuple[str, ...]) -> None:
    outputs, y = sample(40, len(targets))
    task = build(targets, loss=loss, **({"delta": 0.3} if loss == "huber" else {}))
    summed, total = task.loss(outputs, {"y": y})
    expected = {
        "mse": F.mse_loss(outputs, y),
        "mae": F.l1_loss(outputs, y),
        "huber": F.huber_loss(outputs, y, delta=0.3),
    }[loss]
    torch.testing.assert_close(summed / total, expected)
    assert measured(task, outputs, y)["loss"] == pytest.approx(float(expected), rel=1e-5)


def test_a_target_of_one_dimension_is_not_broadcast() -> None:
    outputs, y = sample(40, 1)
    task = build()
    flat, column = (task.loss(outputs, {"y": t}) for t in (y[:, 0], y))
    assert flat == column
    assert measured(task, outputs, y[:, 0]) == measured(task, outputs, y)


@pytest.mark.parametrize("targets", [("price",), ("price", "rent"), ("price", "rent", "tax")])
def test_metrics_are_sklearns_in_the_targets_unit(targets: tuple[str, ...]) -> None:
    outputs, y = sample(60, len(targets))
    task = build(targets)
    found = measured(task, outputs, y)
    true, predicted = to_euros(y.double()).numpy(), to_euros(outputs.double()).numpy()
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(true, predicted))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(true, predicted))
    assert found["r2"] == pytest.approx(reference.r2_score(true, predicted))
    each = reference.r2_score(true, predicted, multioutput="raw_values")
    if len(targets) > 1:
        assert [found[f"r2/{name}"] for name in targets] == pytest.approx(each.tolist())
    assert set(found) == set(task.directions)
    assert found["rmse"] == pytest.approx(250 * measured_plain(outputs, y), rel=1e-6)


def measured_plain(outputs: Tensor, y: Tensor) -> float:
    return float((outputs - y).double().square().mean(0).sqrt().mean())


def test_the_truth_is_what_the_file_says_whatever_y_is() -> None:
    """y is clipped, as `clip: {high: 1}` leaves it; inverting it brings nothing back."""
    outputs, full = sample(60, 2)
    raw, y = full.double() * 3, (full * 3).clamp(max=1)
    task = RegressionTask(("price", "rent"), "mse", 1.0, lambda clipped: clipped)
    found = measured(task, outputs, y, raw=raw)
    predicted = outputs.double().numpy()
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(raw, predicted))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(raw, predicted))
    assert found["r2"] == pytest.approx(reference.r2_score(raw, predicted))
    assert found["loss"] == pytest.approx(float(F.mse_loss(outputs, y)), rel=1e-5)
    assert measured(task, outputs, y)["rmse"] != pytest.approx(found["rmse"], rel=0.05)
    with pytest.raises(KeyError, match="raw"):
        task.metrics().update(outputs, {"y": y})


def test_large_numbers_keep_their_last_digits() -> None:
    """Ids and nanoseconds: float32, in which the model works, knows steps of 64 here."""
    raw = 1e9 + torch.arange(40, dtype=torch.float64)[:, None]
    outputs = raw.float()
    task = RegressionTask(("at",), "mse", 1.0, lambda same: same)
    found = measured(task, outputs, raw.float(), raw=raw)
    expected = reference.root_mean_squared_error(raw, outputs.double().numpy())
    assert expected > 10 and found["rmse"] == pytest.approx(expected, rel=1e-12)
    assert measured(task, outputs, raw.float())["rmse"] == 0


@pytest.mark.filterwarnings("ignore:R.2 score is not well-defined")
def test_r2_of_one_row_is_not_defined_as_in_sklearn() -> None:
    outputs, y = sample(1, 1)
    found = measured(build(), outputs, y)
    assert math.isnan(found["r2"]) and math.isnan(reference.r2_score([1.0], [2.0]))
    assert found["rmse"] == pytest.approx(250 * float((outputs - y).abs()), rel=1e-6)
    outputs, y = sample(2, 1)
    expected = reference.r2_score(y, outputs)
    assert measured(build(), outputs, y)["r2"] == pytest.approx(expected, rel=1e-5)


def test_spread_survives_a_large_offset() -> None:
    """Sum of squares minus square of sums, the usual streaming form, loses every digit here."""
    outputs, y = sample(60, 1)
    task = RegressionTask(("price",), "mse", 1.0, lambda scaled: scaled + 1e9)
    exact = reference.r2_score(y.double().numpy(), outputs.double().numpy())
    assert measured(task, outputs, y)["r2"] == pytest.approx(exact, rel=1e-5)
    shifted = y.double() + 1e9
    naive = shifted.square().sum() - shifted.sum() ** 2 / 60
    spread = (y.double() - y.double().mean()).square().sum()
    assert float(naive) != pytest.approx(float(spread), rel=1e-2)


def test_r2_of_a_constant_target_follows_sklearn() -> None:
    y = torch.full((30, 1), 0.1)
    wrong = y + torch.randn(30, 1, generator=torch.Generator().manual_seed(0))
    for outputs, expected in ((y, 1.0), (wrong, 0.0)):
        assert measured(build(), outputs, y)["r2"] == expected
        assert reference.r2_score(y[:, 0].tolist(), outputs[:, 0].tolist()) == expected


def test_no_rows_give_nan_and_an_empty_batch_changes_nothing() -> None:
    task, (outputs, y) = build(("price", "rent")), sample(10, 2)
    assert all(math.isnan(value) for value in task.metrics().compute().values())
    metrics = task.metrics()
    metrics.update(outputs[:0], batch(task, y[:0]))
    assert all(math.isnan(value) for value in metrics.compute().values())
    metrics.update(outputs, batch(task, y))
    metrics.update(outputs[:0], batch(task, y[:0]))
    assert metrics.compute() == measured(task, outputs, y, size=10)


def test_predictions_and_details_are_in_the_targets_unit() -> None:
    outputs, y = sample(10, 2)
    task = build(("price", "rent"))
    columns = task.predictions(outputs)
    assert list(columns) == ["price", "rent"]
    assert columns["rent"] == pytest.approx(to_euros(outputs.double())[:, 1].numpy())
    metrics = task.metrics()
    metrics.update(outputs, batch(task, y))
    rows, found = metrics.details(), metrics.compute()
    assert [row["target"] for row in rows] == ["price", "rent"]
    for name in ("rmse", "mae", "r2"):
        assert sum(row[name] for row in rows) / 2 == pytest.approx(found[name])


def test_delta_is_for_huber() -> None:
    with pytest.raises(ConfigError, match="huber"):
        build(loss="mae", delta=0.5)
    assert build(loss="huber", delta=0.5).delta == 0.5


def test_schemas_are_documented_and_read_without_torch() -> None:
    for name in TASKS:
        assert all(setting.doc for setting in settings_of(TASKS[name]).values())
    code = (
        "import sys; from ftune.tasks import TASKS\n"
        "from ftune.config.fields import settings_of\n"
        "[settings_of(TASKS[name]) for name in TASKS]\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
