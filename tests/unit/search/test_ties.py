"""What the validation rows can tell apart, against scipy and torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats  # type: ignore[import-untyped]
from support.trainings import EVERYTHING, configuration
from torch.nn import functional as F

from ftune.assembly.build import build, read_data
from ftune.assembly.job import score
from ftune.assembly.parts import Parts
from ftune.search import row_losses as module
from ftune.search.row_losses import RowLosses, row_losses
from ftune.search.ties import UNKNOWN, Point, chosen, learned, rivals, tied


def point(rate: float, losses: Any, floor: float = 0.0) -> Point:
    rows = torch.as_tensor(losses, dtype=torch.float64)
    return Point(
        rate, float(rows.mean()), 9, RowLosses(rows, torch.ones_like(rows), floor, len(rows))
    )


def test_the_error_is_that_of_the_paired_t_test() -> None:
    dice = np.random.default_rng(0)
    a = dice.exponential(size=17)
    b = a + dice.normal(0.1, 0.2, size=17)
    one, other = point(1.0, a).rows, point(1.0, b).rows
    assert one is not None and other is not None
    mean, error = one.above(other)
    assert mean / error == pytest.approx(stats.ttest_rel(a, b).statistic)
    # Control: rows taken as independent give another error.
    assert mean / error != pytest.approx(stats.ttest_ind(a, b).statistic, rel=0.01)


def test_rows_with_weights_are_a_ratio() -> None:
    """The error of a ratio by the jackknife agrees with the linearised one."""
    dice = np.random.default_rng(1)
    weight = dice.uniform(0.5, 2, 400)
    a, b = dice.exponential(size=400) * weight, dice.exponential(size=400) * weight
    one = RowLosses(torch.tensor(a), torch.tensor(weight), 0.0, 400)
    mean, error = one.above(RowLosses(torch.tensor(b), torch.tensor(weight), 0.0, 400))
    assert mean == pytest.approx((a - b).sum() / weight.sum())
    without = ((a - b).sum() - (a - b)) / (weight.sum() - weight)
    jackknife = math.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    assert error == pytest.approx(jackknife, rel=0.01)


def test_ties() -> None:
    best = point(1.0, [0.1, 0.2, 0.3, 0.2])
    assert tied(point(0.1, [0.3, 0.1, 0.2, 0.3]), best), "better on some rows, worse on others"
    assert not tied(point(0.1, [0.4, 0.5, 0.6, 0.5]), best), "worse on every row"
    assert not tied(point(0.1, [0.1, 0.2, 0.3, 9.0]), best), "one row much worse, none better"
    assert not tied(Point(0.1, math.inf, 9), best)
    assert tied(point(0.1, [1.0]), point(1.0, [0.5])), "one row has no spread"


def test_below_the_floor_losses_tie() -> None:
    floor = math.log(19 / 18)
    sure, surer = point(0.1, [0.02] * 17, floor), point(1.0, [0.0] * 17, floor)
    assert tied(sure, surer)
    assert not tied(point(0.1, [0.02] * 17), point(1.0, [0.0] * 17)), "control: without a floor"
    assert not tied(point(0.1, [0.2] * 17, floor), surer)


def test_the_smallest_of_the_tied_that_have_learned() -> None:
    untrained = point(0.0, [1.1, 1.0, 1.2, 1.1])
    curve = [
        point(0.001, [1.0, 1.1, 1.1, 1.2]),
        point(0.01, [0.3, 0.1, 0.2, 0.3]),
        point(0.1, [0.2, 0.1, 0.3, 0.25]),
        point(1.0, [0.1, 0.2, 0.3, 0.2]),
        point(10.0, [0.4, 0.5, 0.6, 0.5]),
    ]
    assert chosen(curve, untrained).lr == 0.01
    assert [p.lr for p in rivals(curve, untrained)] == [0.01, 0.1, 1.0]
    assert not learned(curve[0], untrained) and learned(curve[1], untrained)


def test_behind_a_rate_that_is_worse_none_is_chosen() -> None:
    curve = [
        point(0.01, [0.1, 0.2, 0.2, 0.3]),
        point(0.1, [0.5, 0.6, 0.7, 0.6]),
        point(1.0, [0.1, 0.2, 0.2, 0.2]),
    ]
    assert chosen(curve).lr == 1.0


def test_where_nothing_is_learned_ties_mean_nothing() -> None:
    untrained = point(0.0, [0.7, 0.7])
    curve = [point(0.01, [0.69, 0.71]), point(0.1, [0.8, 0.55]), point(1.0, [3.0, 0.1])]
    assert chosen(curve, untrained).lr == 0.1
    assert chosen(curve, UNKNOWN).lr == 0.01, "control: not asked whether anything was learned"


def parts_of(**blocks: Any) -> Parts:
    config = configuration(plain={**EVERYTHING, "adapt": [], **blocks})
    return build(config, read_data(config))


DIABETES = {"source": "sklearn", "name": "diabetes", "split": {"val": 40, "test": 0}}
KINDS: dict[str, dict[str, Any]] = {
    "classes": {},
    "weighted": {"task": {"name": "classification", "class_weights": {"setosa": 3.0}}},
    "numbers": {"task": "regression", "data": DIABETES, "eval": {}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_add_up_to_the_loss(kind: str) -> None:
    parts = parts_of(**KINDS[kind])
    assert parts.dataset.val is not None
    rows = row_losses(parts)
    assert len(rows.weight) == len(parts.dataset.val)
    mean = float(rows.summed.sum() / rows.weight.sum())
    assert mean == pytest.approx(score(parts, parts.dataset.val)["loss"], rel=1e-5)
    assert (rows.floor > 0) == (kind != "numbers"), "errors of numbers have no floor"


def test_each_row_is_torchs() -> None:
    parts = parts_of()
    assert parts.dataset.val is not None
    batch = parts.dataset.val.batch(torch.arange(len(parts.dataset.val)))
    with torch.no_grad():
        losses = F.cross_entropy(parts.model.eval()(batch["x"]), batch["y"], reduction="none")
    assert row_losses(parts).summed.numpy() == pytest.approx(losses.numpy(), rel=1e-5)


def test_thousands_of_rows_are_taken_a_few_together(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of()
    each = row_losses(parts)
    monkeypatch.setattr(module, "MOST_UNITS", 8)
    few = row_losses(parts)
    assert len(few.weight) == 8 and float(few.weight.sum()) == few.count == 22
    assert float(few.summed.sum()) == pytest.approx(float(each.summed.sum()))
    assert few.floor == each.floor
