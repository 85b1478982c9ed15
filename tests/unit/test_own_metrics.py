"""Metrics of the user's own: what they are given, what they may give, and where they count."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss, matthews_corrcoef, mean_absolute_percentage_error

import ftune
from ftune.errors import ConfigError, RequestError
from ftune.extend import load_code
from ftune.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("apart")
SEEN = """
import json, pathlib
import ftune
from sklearn.metrics import log_loss, matthews_corrcoef, mean_absolute_percentage_error
ftune.metric("mcc", greater_is_better=True)(matthews_corrcoef)
ftune.metric("mape", greater_is_better=False)(mean_absolute_percentage_error)

@ftune.metric("seen", greater_is_better=True)
def seen(predictions, targets, classes, file: str = "seen.json"):
    pathlib.Path(file).write_text(json.dumps([predictions.tolist(), targets.tolist(), classes,
                                              str(predictions.dtype), str(targets.dtype)]))
    return 1.0

@ftune.metric("entropy", greater_is_better=False)
def entropy(probabilities, predictions, targets):
    return log_loss(targets, probabilities)

@ftune.metric("hits", greater_is_better=True)
class Hits:
    def __init__(self, weight: float = 1):
        self.weight, self.right, self.rows = weight, 0, 0
    def update(self, predictions, targets):
        self.right += (predictions == targets).sum()
        self.rows += len(targets)
    def compute(self):
        return self.weight * self.right / self.rows
"""


FUNCTION = """
import ftune, torch
import numpy as np
@ftune.metric("m", greater_is_better=True)
def m(predictions, targets):
    {}
"""


def train(folder: Path, code: str, **config: Any) -> dict[str, Any]:
    file = folder / "mine.py"
    file.write_text(code)
    load_code(file)
    given = {"task": "classification", "data": {"source": "sklearn", "name": "iris"},
             "model": {"name": "mlp", "width": 4}, "train": {"epochs": 3},
             "runtime": {"threads": 1}}  # fmt: skip
    return ftune.run("optimize", {**given, **config}, out=folder / "run")


def test_classes_are_numbers_of_all_rows(tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    metrics = ["mcc", "entropy", {"hits": 2}, {"seen": str(file)}, {"hits": 1, "as": "plain"}]
    # Fewer rows at once than there are: batches are gathered before they are compared.
    scores = train(tmp_path, SEEN, eval={"metrics": metrics, "batch_size": 7})["metrics"]["test"]
    predicted, true, classes, *types = json.loads(file.read_text())
    assert classes == ["setosa", "versicolor", "virginica"]
    assert types == ["int64", "int64"] and len(true) == 30
    assert scores["mcc"] == pytest.approx(matthews_corrcoef(true, predicted))
    assert scores["entropy"] == pytest.approx(scores["loss"], rel=1e-6)
    assert scores["plain"] == pytest.approx(scores["accuracy"])
    assert scores["hits"] == pytest.approx(2 * scores["accuracy"])
    assert scores["accuracy"] == np.mean(np.equal(predicted, true))
    assert log_loss([0, 1], [[1, 0], [0, 1]]) < 1e-9  # the reference is what it is called


def test_quantities_are_in_the_unit_of_the_file(tmp_path: Path) -> None:
    rows = [f"{i},{1000 + 3 * i}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *rows]))
    data = {"source": "csv", "path": str(tmp_path / "t.csv"), "target": "y",
            "target_transforms": ["log", "standardize"]}  # fmt: skip
    file = tmp_path / "seen.json"
    found = train(
        tmp_path,
        SEEN,
        task="regression",
        data=data,
        eval={"metrics": ["mape", {"seen": str(file)}]},
    )
    predicted, true, classes, *types = json.loads(file.read_text())
    assert set(true) <= {1000 + 3 * i for i in range(60)} and types == ["float64", "float64"]
    assert found["metrics"]["test"]["mape"] == pytest.approx(
        mean_absolute_percentage_error(true, predicted)
    )
    assert classes == ["y"]


def test_labels_are_columns_of_0_and_1(tmp_path: Path) -> None:
    rows = [f"{i % 7},{int(i % 7 > 3)},{int(i % 2)}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["x,a,b", *rows]))
    data = {"source": "csv", "path": str(tmp_path / "t.csv"), "target": ["a", "b"]}
    file = tmp_path / "seen.json"
    task = {"name": "classification", "multi_label": True}
    train(tmp_path, SEEN, task=task, data=data, eval={"metrics": [{"seen": str(file)}]})
    predicted, true, classes, *types = json.loads(file.read_text())
    assert np.shape(predicted) == np.shape(true) == (16, 2) and types == ["int64", "int64"]
    assert set(np.ravel(true)) == {0, 1} and classes == ["a", "b"]


def test_a_language_model_gives_tokens_that_count(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abcdefgh\n" * 60)
    data = {"source": "text", "path": str(tmp_path / "t.txt"),
            "transforms": [{"tokenize": "characters", "max_length": 16}]}  # fmt: skip
    layers = [{"embedding": 8}, {"gru": 8, "output": "all"}, {"linear": "out"}]
    found = train(
        tmp_path, SEEN, task="causal-lm", data=data, model={"name": "sequential", "layers": layers},
        eval={"metrics": ["hits"], "metric": "hits"},
    )  # fmt: skip
    scores = found["metrics"]["val"]
    assert scores["hits"] == pytest.approx(scores["accuracy"])
    assert found["best"]["metric"] == "hits"
    with pytest.raises(RequestError, match="asks for `probabilities`, which this task does not"):
        load_code(tmp_path / "mine.py")
        ftune.run(
            "optimize", tmp_path / "run" / "config.yaml",
            ["eval.metrics=[entropy]", "eval.metric=loss"], out=tmp_path / "other",
        )  # fmt: skip


@pytest.mark.parametrize(("greater", "best"), [(True, 9.0), (False, 0.0)])
def test_its_direction_selects_the_step(greater: bool, best: float, tmp_path: Path) -> None:
    code = f"""
import ftune
calls = []
@ftune.metric("clock", greater_is_better={greater})
def clock(predictions, targets):
    calls.append(1)
    return len(calls) - 1
"""
    # Evaluations 0 to 9 of the validation rows: the metric is the number of the evaluation.
    found = train(tmp_path, code, eval={"metric": "clock"}, train={"epochs": 9})
    assert found["best"]["value"] == best and found["best"]["metric"] == "clock"
    facts = RunFolder.open(tmp_path / "run").facts()
    assert facts["directions"]["clock"] == ("max" if greater else "min")
    assert facts["directions"]["accuracy"] == "max"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no')", r"mine\.py:6: ValueError: no"),
        ("pass", r"mine\.py:4: the metric `m` gives NoneType; end it with `return`"),
        ("return predictions", r"gives ndarray \[15\]; it must give one number"),
        ("return {'m': 1}", "gives dict; it must give one number"),
        ("return 'good'", "gives str; it must give one number"),
        ("return torch.ones(2)", r"gives Tensor \[2\]; it must give one number"),
    ],
)
def test_what_is_no_number_is_refused(body: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=said):
        train(tmp_path, FUNCTION.format(body), eval={"metrics": ["m"]})


@pytest.mark.parametrize("value", ["0.25", "np.float32(0.25)", "torch.tensor(0.25)"])
def test_numbers_of_all_kinds_are_taken(value: str, tmp_path: Path) -> None:
    code = FUNCTION.format(f"return {value}")
    assert train(tmp_path, code, eval={"metrics": ["m"]})["metrics"]["val"]["m"] == 0.25


def test_a_metric_that_is_never_a_number_chooses_nothing(tmp_path: Path) -> None:
    found = train(tmp_path, FUNCTION.format("return float('nan')"), eval={"metric": "m"})
    assert math.isnan(found["metrics"]["val"]["m"]) and found["best"] is None
    assert any("validation m was at no evaluation a finite number" in n for n in found["notes"])
    ordinary = train(
        tmp_path / "run", FUNCTION.format("return 1").replace('"m"', '"n"')
    )  # a metric that is one is not remarked on
    assert not any("finite" in note for note in ordinary["notes"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("@ftune.metric('m')\ndef m(predictions, targets): ...", "greater_is_better"),
        ("@ftune.metric('accuracy', greater_is_better=True)\ndef m(predictions, targets): ...",
         "a metric `accuracy` exists already"),
        ("@ftune.metric('m', greater_is_better=True)\ndef m(a, b): ...",
         r"must take \(predictions, targets\), or \(y_true, y_pred\)"),
        ("@ftune.metric('m', greater_is_better='yes')\ndef m(predictions, targets): ...",
         "greater_is_better is True or False"),
        ("@ftune.metric('m', greater_is_better=True)\nclass M: ...", r"has update\(predictions"),
    ],
)  # fmt: skip
def test_a_metric_that_cannot_be_used_says_why(lines: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"import ftune\n{lines}\n")
    with pytest.raises(RequestError, match=said):
        load_code(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ({"metrics": ["hitz"]}, "did you mean `hits`"),
        ({"metric": "hitz"}, "did you mean `hits`"),
        ({"metrics": [{"hits": {"wieght": 1}}]}, "did you mean `weight`"),
        ({"metrics": ["hits", "hits"]}, "two are called `hits`"),
        ({"metrics": [{"hits": 1, "as": "accuracy"}]}, "two are called `accuracy`"),
    ],
)
def test_names_are_known_to_the_configuration(judged: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        train(tmp_path, SEEN, eval=judged)


def test_without_the_file_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import ftune\nfrom torch import nn\n"
                                      "@ftune.model('m')\ndef m(outputs): ...\n")  # fmt: skip
    with pytest.raises(ConfigError, match="none is registered; give --code"):
        train(tmp_path, (tmp_path / "mine.py").read_text(), eval={"metrics": ["hits"]})
