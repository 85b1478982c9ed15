"""Classification against torch's losses and scikit-learn's metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional as F

from ftune.config.fields import block
from ftune.config.load import Language
from ftune.errors import ConfigError, DataError, RequestError
from ftune.tasks import TASKS
from ftune.tasks.classification import Classification
from ftune.tasks.classification_task import ClassificationTask
from ftune.tasks.counts import area_under_roc
from ftune.tasks.multi_label_task import MultiLabelTask
from ftune.tasks.protocol import Metric, Task

ANIMALS = ("cat", "dog", "emu", "fox")


@dataclass(frozen=True)
class Root:
    task: Classification = block(TASKS)


def read(**settings: Any) -> Classification:
    config = Language(Root).of({"task": {"name": "classification", **settings}})
    return config.task


def classes(
    names: tuple[str, ...] = ANIMALS, y: Tensor | None = None, **settings: Any
) -> ClassificationTask:
    targets = torch.arange(len(names)) if y is None else y
    task = read(**settings).build(names, ("animal",), targets, lambda x: x, 0)
    assert isinstance(task, ClassificationTask)
    return task


def labels(names: tuple[str, ...] = ANIMALS, **settings: Any) -> MultiLabelTask:
    schema = read(multi_label=True, **settings)
    task = schema.build((), names, torch.zeros(1, len(names)), lambda x: x, 0)
    assert isinstance(task, MultiLabelTask)
    return task


def sample(rows: int, outputs: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    outputs_ = torch.randn(rows, outputs, generator=generator)
    return outputs_, torch.randint(0, outputs, (rows,), generator=generator)


def measured(task: Task, outputs: Tensor, y: Tensor, size: int = 7) -> dict[str, float]:
    """Metrics taken in uneven batches; every name must have a direction."""
    return _fed(task.metrics(), outputs, y, size).compute()


def _fed(metrics: Metric, outputs: Tensor, y: Tensor, size: int = 7) -> Metric:
    for start in range(0, len(y), size):
        metrics.update(outputs[start : start + size], {"y": y[start : start + size]})
    return metrics


WEIGHTS = {"cat": 0.5, "emu": 3.0}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_loss_is_torchs_weighted_mean(weights: dict[str, float] | None, smoothing: float) -> None:
    outputs, y = sample(50, 4)
    task = classes(class_weights=weights, label_smoothing=smoothing)
    summed, total = task.loss(outputs, {"y": y})
    weight = None if weights is None else torch.tensor([0.5, 1, 3, 1])
    expected = F.cross_entropy(outputs, y, weight, label_smoothing=smoothing)
    torch.testing.assert_close(summed / total, expected)
    assert measured(task, outputs, y)["loss"] == pytest.approx(float(expected), rel=1e-6)


def test_micro_batches_add_up_to_the_batch() -> None:
    """And the mean of their means, which is what is usually computed, does not."""
    outputs, y = sample(50, 4)
    task = classes(class_weights=WEIGHTS)
    parts = [task.loss(outputs[cut], {"y": y[cut]}) for cut in (slice(0, 8), slice(8, 50))]
    whole = F.cross_entropy(outputs, y, torch.tensor([0.5, 1, 3, 1]))
    torch.testing.assert_close(sum(s for s, _ in parts) / sum(t for _, t in parts), whole)
    means = [float(s / t) for s, t in parts]
    assert sum(means) / 2 != pytest.approx(float(whole), rel=1e-3)


def test_a_class_may_weigh_nothing() -> None:
    outputs, y = sample(50, 4)
    summed, total = classes(class_weights={"cat": 0.0}).loss(outputs, {"y": y})
    torch.testing.assert_close(summed / total, F.cross_entropy(outputs[y > 0], y[y > 0]))


def test_gradient_is_torchs() -> None:
    outputs, y = sample(20, 4)
    ours, theirs = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    summed, total = classes(class_weights=WEIGHTS).loss(ours, {"y": y})
    (summed / total).backward()  # type: ignore[no-untyped-call]
    F.cross_entropy(theirs, y, torch.tensor([0.5, 1, 3, 1])).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_balanced_weights_are_sklearns() -> None:
    y = torch.tensor([0] * 7 + [1] * 2 + [2] + [3] * 5)
    task = classes(y=y, class_weights="balanced")
    expected = compute_class_weight("balanced", classes=np.arange(4), y=y.numpy())
    assert task.weights is not None
    np.testing.assert_allclose(task.weights, expected, rtol=1e-6)


def test_balanced_weight_of_a_class_without_rows_is_finite() -> None:
    task = classes(y=torch.tensor([0, 0, 1, 3]), class_weights="balanced")
    assert task.weights is not None
    assert task.weights.tolist() == [0.5, 1, 1, 1]
    task = classes(y=torch.tensor([0, 0, 1, 1]), class_weights="balanced")
    assert task.weights is not None
    assert task.weights.tolist() == [0.5, 0.5, 1, 1], "the last ones too"


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_many_classes_are_sklearns(seed: int) -> None:
    outputs, y = sample(60, 4, seed)
    predicted = outputs.argmax(1)
    found = measured(classes(), outputs, y)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(y, predicted, average="macro"))
    assert found["loss"] == pytest.approx(
        reference.log_loss(y, outputs.double().softmax(1)), rel=1e-5
    )
    assert set(found) == set(classes().directions) == {"loss", "accuracy", "macro_f1"}


@pytest.mark.parametrize("positive", ["no", "yes", None])
def test_binary_metrics_are_sklearns(positive: str | None) -> None:
    outputs, y = sample(60, 2)
    outputs = outputs + torch.tensor([0.0, 0.6])  # so that the two sides differ
    task = classes(("no", "yes"), positive=positive)
    found = measured(task, outputs, y)
    index = 0 if positive == "no" else 1
    predicted, score = outputs.argmax(1), outputs[:, index] - outputs[:, 1 - index]
    for name in ("f1", "precision", "recall"):
        expected = getattr(reference, f"{name}_score")(y, predicted, pos_label=index)
        assert found[name] == pytest.approx(expected), name
    assert found["auc"] == pytest.approx(reference.roc_auc_score(y == index, score))
    assert set(found) == set(task.directions)
    other = measured(classes(("no", "yes"), positive="no" if index else "yes"), outputs, y)
    assert found["f1"] != pytest.approx(other["f1"])


def test_area_with_ties_is_sklearns() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(0, 5, (80,), generator=generator).float()
    truth = torch.rand(80, generator=generator) < scores / 6
    expected = reference.roc_auc_score(truth, scores)
    assert area_under_roc(scores, truth) == pytest.approx(expected)
    assert area_under_roc(-scores, truth) == pytest.approx(1 - expected)


def test_area_is_not_defined_for_one_class_or_no_number() -> None:
    assert math.isnan(area_under_roc(torch.randn(4), torch.ones(4, dtype=torch.bool)))
    assert math.isnan(area_under_roc(torch.tensor([0.0, torch.nan]), torch.tensor([True, False])))


def test_a_class_that_neither_occurs_nor_is_predicted_is_left_out() -> None:
    outputs, y = sample(60, 4)
    outputs[:, 3], y = -100.0, y.clamp(max=2)
    found = measured(classes(), outputs, y)
    expected = reference.f1_score(y, outputs.argmax(1), average="macro")
    assert found["macro_f1"] == pytest.approx(expected)


def test_a_class_that_occurs_and_is_never_predicted_counts_as_zero() -> None:
    outputs, y = sample(60, 4)
    outputs[:, 3] = -100.0
    found = measured(classes(), outputs, y)
    expected = reference.f1_score(y, outputs.argmax(1), average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("names", [ANIMALS, ("no", "yes")])
def test_no_rows_give_nan(names: tuple[str, ...]) -> None:
    task = classes(names)
    metrics = task.metrics()
    assert all(math.isnan(value) for value in metrics.compute().values())
    metrics.update(torch.zeros(0, len(names)), {"y": torch.zeros(0, dtype=torch.long)})
    assert all(math.isnan(value) for value in metrics.compute().values())
    assert [row["support"] for row in metrics.details()] == [0] * len(names)


def test_details_are_sklearns() -> None:
    outputs, y = sample(60, 4)
    rows = _fed(classes().metrics(), outputs, y).details()
    expected = reference.precision_recall_fscore_support(y, outputs.argmax(1))
    for index, row in enumerate(rows):
        assert row["class"] == ANIMALS[index]
        found = [row[key] for key in ("precision", "recall", "f1", "support")]
        assert found == pytest.approx([part[index] for part in expected])


def test_predictions_name_classes_and_give_probabilities() -> None:
    outputs, _ = sample(9, 4)
    columns = classes().predictions(outputs)
    assert list(columns) == ["prediction", *(f"probability/{name}" for name in ANIMALS)]
    assert columns["prediction"] == [ANIMALS[i] for i in outputs.argmax(1)]
    shares = np.stack([columns[f"probability/{name}"] for name in ANIMALS], 1)
    np.testing.assert_allclose(shares, outputs.softmax(1), rtol=1e-5)
    assert shares.sum(1) == pytest.approx(1, abs=1e-12)


def truth(rows: int, names: int) -> Tensor:
    return (torch.rand(rows, names, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_label_loss_is_torchs(weights: dict[str, float] | None) -> None:
    outputs, y = sample(50, 4)[0], truth(50, 4)
    task = labels(class_weights=weights, label_smoothing=0.1)
    summed, total = task.loss(outputs, {"y": y})
    target = y * 0.9 + 0.05
    each = F.binary_cross_entropy_with_logits(outputs, target, reduction="none")
    weight = torch.ones(4) if weights is None else torch.tensor([0.5, 1, 3, 1])
    expected = (each * weight).sum() / (weight.sum() * 50)
    torch.testing.assert_close(summed / total, expected)
    assert measured(task, outputs, y)["loss"] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_label_metrics_are_sklearns(threshold: float) -> None:
    outputs, y = sample(60, 4)[0], truth(60, 4)
    predicted = (outputs.sigmoid() >= threshold).long()
    task = labels(threshold=threshold)
    found = measured(task, outputs, y)
    assert found["exact"] == pytest.approx(reference.accuracy_score(y, predicted))
    assert found["accuracy"] == pytest.approx(1 - reference.hamming_loss(y, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(y, predicted, average="macro"))
    assert set(found) == set(task.directions)
    details = _fed(task.metrics(), outputs, y).details()
    assert [row["recall"] for row in details] == pytest.approx(
        reference.recall_score(y, predicted, average=None).tolist()
    )


LABEL_ROWS = {  # labels that hold, labels that are predicted
    "no label ever": ([[0, 0, 0]] * 4, [[0, 0, 0]] * 4),
    "one label absent": ([[1, 0, 0], [0, 1, 0]], [[1, 0, 0], [1, 1, 0]]),
    "two labels absent": ([[1, 0, 0], [1, 0, 0]], [[1, 0, 0], [0, 0, 0]]),
    "one only predicted": ([[1, 0, 0], [0, 0, 0]], [[1, 0, 1], [0, 0, 1]]),
    "one never predicted": ([[1, 0, 1], [0, 1, 1]], [[1, 0, 0], [0, 1, 0]]),
    "all right": ([[1, 1, 1]], [[1, 1, 1]]),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("case", LABEL_ROWS)
def test_absent_labels_count_as_in_sklearn(case: str) -> None:
    """Over all columns; the mean over those that occur or are predicted is another number."""
    true, guess = (torch.tensor(part) for part in LABEL_ROWS[case])
    task = labels(ANIMALS[:3])
    found = measured(task, guess * 2.0 - 1, true.float(), size=1)
    expected = reference.f1_score(true, guess, average="macro")
    assert found["macro_f1"] == pytest.approx(expected)
    assert found["exact"] == pytest.approx(reference.accuracy_score(true, guess))
    each = reference.f1_score(true, guess, average=None)
    present = (true + guess).sum(0) > 0
    if not present.all() and any(each):
        assert each[present.numpy()].mean() != pytest.approx(expected), "the negative control"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("seed", range(20))
def test_rare_labels_are_scored_as_in_sklearn(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rates = torch.rand(12, generator=generator) ** 4
    rows = int(torch.randint(1, 40, (1,), generator=generator))
    true, guess = (torch.rand(2, rows, 12, generator=generator) < rates).long()
    found = measured(labels(tuple("abcdefghijkl")), guess * 2.0 - 1, true.float())
    assert found["macro_f1"] == pytest.approx(reference.f1_score(true, guess, average="macro"))
    assert found["accuracy"] == pytest.approx(1 - reference.hamming_loss(true, guess))
    assert found["exact"] == pytest.approx(reference.accuracy_score(true, guess))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("seed", range(20))
def test_rare_classes_are_scored_as_in_sklearn(seed: int) -> None:
    """One class per row: scikit-learn leaves out what neither occurs nor is predicted."""
    generator = torch.Generator().manual_seed(seed)
    rates = torch.rand(9, generator=generator) ** 4
    rows = int(torch.randint(1, 30, (1,), generator=generator))
    true, guess = torch.multinomial(rates, 2 * rows, True, generator=generator).view(2, rows)
    found = measured(classes(tuple("abcdefghi")), F.one_hot(guess, 9).float(), true)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(true, guess, average="macro"))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(true, guess))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("true", [[0, 0, 0], [1, 1, 1], [0, 1, 1]])
@pytest.mark.parametrize("guess", [[0, 0, 0], [1, 1, 1], [1, 0, 1]])
def test_two_classes_of_which_one_is_absent(true: list[int], guess: list[int]) -> None:
    outputs = F.one_hot(torch.tensor(guess), 2).float()
    found = measured(classes(("no", "yes")), outputs, torch.tensor(true))
    for name in ("f1", "precision", "recall"):
        assert found[name] == pytest.approx(getattr(reference, f"{name}_score")(true, guess)), name
    assert math.isnan(found["auc"]) == (len(set(true)) == 1)


def test_the_area_under_the_curve_sees_what_the_predictions_say() -> None:
    """Scores that differ by less than float32 resolves at their size are no ties."""
    outputs = torch.tensor([[0.0, 16.0], [1e-7, 16.0], [2e-7, 16.0], [-1e-7, 16.0]])
    task, y = classes(("no", "yes")), torch.tensor([1, 0, 1, 0])
    assert len(set((outputs[:, 1] - outputs[:, 0]).tolist())) == 1, "in float32 they are"
    scores = outputs.double()[:, 1] - outputs.double()[:, 0]
    assert measured(task, outputs, y)["auc"] == pytest.approx(reference.roc_auc_score(y, scores))


def test_a_label_is_predicted_from_the_threshold_on() -> None:
    """At exactly one half, as `threshold` says: from this probability on."""
    outputs = torch.tensor([[0.0, -1e-9]])  # of which float32 makes one half as well
    columns = labels(("hot", "wet")).predictions(outputs)
    assert [list(columns[name]) for name in ("hot", "wet")] == [[1], [0]]
    true = torch.tensor([[1.0, 0.0]])
    assert measured(labels(("hot", "wet")), outputs, true)["exact"] == 1


def test_label_predictions_and_no_rows() -> None:
    task = labels(("hot", "wet"), threshold=0.9)
    columns = task.predictions(torch.tensor([[3.0, -1.0], [1.0, 5.0]]))
    assert {name: list(columns[name]) for name in ("hot", "wet")} == {"hot": [1, 0], "wet": [0, 1]}
    assert columns["probability/hot"] == pytest.approx([0.95257, 0.73106], abs=1e-5)
    assert all(math.isnan(value) for value in task.metrics().compute().values())


def test_target_kind_follows_the_setting() -> None:
    assert read().target_kind == "classes"
    assert read(multi_label=True).target_kind == "labels"
    assert labels().output_names == ANIMALS and labels().outputs == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"class_weights": {"cat": -1.0}}, "at least 0"),
        ({"class_weights": {"cat": float("inf")}}, "at least 0"),
        ({"class_weights": {"cat": 1.0, "dog": -1.0}}, "at least 0"),
        ({"class_weights": "balance"}, "balanced"),
        ({"class_weights": "balanced", "multi_label": True}, "one class per row"),
        ({"positive": "cat", "multi_label": True}, "multi_label"),
        ({"threshold": 0.3}, "multi_label: true"),
        ({"label_smoothing": 1.0}, "below 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**settings)
    assert said in str(caught.value)


def test_classes_that_are_not_there_are_named() -> None:
    with pytest.raises(RequestError, match="`bat` is not a class of the target; they are cat, dog"):
        classes(class_weights={"bat": 1.0})
    for count, end in ((20, "c19"), (21, "c19, …")):
        names = tuple(f"c{i}" for i in range(count))
        with pytest.raises(RequestError) as caught:
            classes(names, class_weights={"bat": 1.0})
        assert str(caught.value).endswith(f"c18, {end}")
    with pytest.raises(RequestError, match="`maybe` is not a class"):
        classes(("no", "yes"), positive="maybe")
    with pytest.raises(RequestError, match="the target has 4"):
        classes(positive="cat")
    with pytest.raises(RequestError, match="every class has weight 0"):
        classes(("no", "yes"), class_weights={"no": 0.0, "yes": 0.0})
    with pytest.raises(DataError, match="one class only"):
        classes(("no",))
