"""Sources of --code that declare sequences and images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ftune
from ftune.assembly.build import read_data
from ftune.console import Console
from ftune.data import SOURCES
from ftune.errors import ConfigError, DataError, RequestError
from ftune.extend import load_code
from ftune.library import read

pytestmark = pytest.mark.usefixtures("apart")
CODE = """
from pathlib import Path
import ftune
import numpy as np
import torch
from torch import nn

def rows(count, ragged, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    steps = rng.integers(3, 9, count) if ragged else [6] * count
    x = [np.stack([rng.normal(k, 1, n), rng.normal(1000, 50, n)], 1) for k, n in zip(y, steps)]
    return {"x": x, "y": [("no", "yes")[k] for k in y]}

@ftune.source("seq", kinds={"x": "sequence"})
def seq(count: int = 60, ragged: bool = True, path: str | None = None):
    return rows(count, ragged, len(Path(path).read_text()) if path else 0)

@ftune.source("pic", kinds={"photo": "image"})
def pic(gray: bool = False):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    photo = rng.integers(0, 100, (60, 9, 8) if gray else (60, 9, 8, 3), dtype=np.uint8)
    return {"photo": photo + np.uint8(100) * y.reshape(-1, *[1] * (photo.ndim - 1)).astype("u1"),
            "y": [("no", "yes")[k] for k in y]}

@ftune.model("pooled")
class Pooled(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.head = nn.Linear(inputs.shape[1], outputs)
    def forward(self, x, segments=None):
        real = torch.ones(x.shape[:2]) if segments is None else segments
        return self.head((x * real[..., None]).sum(1) / real.sum(1, keepdim=True))
"""


def config(folder: Path, **data: Any) -> dict[str, Any]:
    (folder / "mine.py").write_text(CODE)
    load_code(folder / "mine.py")
    return {
        "task": "classification", "data": {"target": "y", **data}, "model": "pooled",
        "optimizer": {"name": "adamw", "lr": 0.05},
        "train": {"epochs": 6, "batch_size": 8}, "runtime": {"threads": 1},
    }  # fmt: skip


def test_ragged_rows_are_padded_by_batch_and_scaled_by_feature(tmp_path: Path) -> None:
    given = config(tmp_path, source="seq", transforms=["standardize"])
    data = read_data(read(given, [], Console(quiet=True))[0])
    rows = SOURCES["seq"](count=60).load()["all"]["x"]
    train = [rows[i - 1] for i in data.train.rows.tolist()]
    steps = np.concatenate(train).astype(np.float64)
    batch = data.train.batch(torch.tensor([4, 0, 9]))
    lengths = [len(train[i]) for i in (4, 0, 9)]
    assert batch["segments"].sum(1).tolist() == lengths
    assert batch["x"].shape == (3, max(lengths), 2)
    for place, row in enumerate((4, 0, 9)):
        wanted = (train[row] - steps.mean(0)) / steps.std(0)
        found = batch["x"][place].numpy()
        np.testing.assert_allclose(found[: lengths[place]], wanted, atol=1e-5)
        assert not found[lengths[place] :].any()


def test_rows_of_one_length_are_whole(tmp_path: Path) -> None:
    given = config(tmp_path, source="seq", ragged=False, transforms=[])
    data = read_data(read(given, [], Console(quiet=True))[0])
    rows = SOURCES["seq"](count=60, ragged=False).load()["all"]["x"]
    assert set(data.train.batch(torch.arange(2))) == {"x", "y"}
    np.testing.assert_array_equal(data.train.x[3], rows[int(data.train.rows[3]) - 1])


@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("model", ["pooled", "gru"])
def test_padding_changes_no_prediction(ragged: bool, model: str, tmp_path: Path) -> None:
    given = config(tmp_path, source="seq", ragged=ragged)
    if model == "gru":
        layers = [{"gru": 8}, {"linear": "out"}]
        given["model"] = {"name": "sequential", "layers": layers}
    summary = ftune.run("optimize", given, out=tmp_path / "run")
    assert summary["metrics"]["val"]["accuracy"] >= 0.5
    predictor = ftune.load(tmp_path / "run")
    rows = [{"x": row.tolist()} for row in SOURCES["seq"](ragged=ragged).load()["all"]["x"][:7]]
    together = predictor.predict(rows)["probability/yes"]
    alone = [predictor.predict([row])["probability/yes"][0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    (tmp_path / "new.txt").write_text("abc")
    found = predictor.predict(str(tmp_path / "new.txt"))  # the source reads it: `path`
    assert len(found["prediction"]) == 60
    assert predictor.evaluate(tmp_path / "new.txt")[0]["accuracy"] >= 0.5


def test_rows_of_another_length_are_refused_where_all_were_alike(tmp_path: Path) -> None:
    ftune.run("optimize", config(tmp_path, source="seq", ragged=False), out=tmp_path / "run")
    predictor = ftune.load(tmp_path / "run")
    with pytest.raises(DataError, match=r"row 1: 2 steps, where all training rows have 6"):
        predictor.predict([{"x": [[1, 2], [3, 4]]}])
    for row in ("hello", None, [], [["a"]]):
        with pytest.raises(DataError, match=r"row 1: .* is no sequence"):
            predictor.predict([{"x": row}])


@pytest.mark.parametrize("gray", [True, False])
def test_arrays_are_images_without_files(gray: bool, tmp_path: Path) -> None:
    given = config(tmp_path, source="pic", gray=gray, transforms=["flip"])
    layers = [{"conv2d": 4}, "relu", "globalpool", {"linear": "out"}]
    given["model"] = {"name": "sequential", "layers": layers}
    data = read_data(read(given, [], Console(quiet=True))[0])
    frame = SOURCES["pic"](gray=gray).load()["all"]
    row = int(data.train.rows[2]) - 1
    pixels = frame["photo"][row].pixels
    pixels = np.stack([pixels] * 3, 2) if gray else pixels
    found = data.train.batch(torch.tensor([2]))["x"][0]
    np.testing.assert_allclose(found.permute(1, 2, 0), pixels / 255, atol=1e-6)
    summary = ftune.run("optimize", given, out=tmp_path / "run")
    assert summary["metrics"]["test"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("image", "[np.zeros((3, 3))]", r"row 1: float64 \[3, 3\] is no image"),
        ("image", "np.zeros((1, 3, 3, 2), 'u1')", r"row 1: 2 channels in \[3, 3, 2\]"),
        ("sequence", "[[1, 2], [[1, 2]]]", "row 1 has 1 numbers a step, row 2 has 2"),
        ("sequence", "[[1, 2], []]", r"row 2: \[0\] is no sequence"),
        ("sequence", "[[1, [2]]]", "row 1: .* is no sequence"),
        (None, "[[1, 2], [1]]", r"holds lists of 1 to 2 numbers; say what they are"),
        (None, "[np.ones((2, 2)), np.ones((3, 2))]", "holds arrays; say what they are"),
    ],
)
def test_what_a_column_is_not_is_said(
    kind: str | None, values: str, said: str, tmp_path: Path
) -> None:
    kinds = {} if kind is None else {"x": kind}
    head = f"import ftune\nimport numpy as np\n@ftune.source('s', kinds={kinds})\n"
    (tmp_path / "mine.py").write_text(f"{head}def s(): return {{'x': {values}}}\n")
    load_code(tmp_path / "mine.py")
    with pytest.raises(DataError, match=said):
        SOURCES["s"]().load()


def test_equal_lists_stay_numbers_of_a_row(tmp_path: Path) -> None:
    head = "import ftune\n@ftune.source('s')\n"
    (tmp_path / "mine.py").write_text(f"{head}def s(): return {{'x': [[1, 2], [3, 4]]}}\n")
    load_code(tmp_path / "mine.py")
    assert SOURCES["s"]().load()["all"]["x"].shape == (2, 2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kinds={'x': 'sequense'}", "did you mean `sequence`"),
        ("kinds={'x': 'image', 'z': 'image'}", "stands alone"),
    ],
)
def test_kinds_that_are_none_are_refused(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"import ftune\n@ftune.source('s', {line})\ndef s(): ...\n")
    with pytest.raises(RequestError, match=said):
        load_code(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("mlp", "expects rows of one length"),
        ({"name": "sequential", "layers": [{"conv1d": 4}, "globalpool", {"linear": "out"}]},
         "go over them"),
    ],
)  # fmt: skip
def test_models_that_cannot_take_ragged_rows_say_so(model: Any, said: str, tmp_path: Path) -> None:
    given = {**config(tmp_path, source="seq"), "model": model}
    with pytest.raises((RequestError, ConfigError), match=said):
        ftune.run("optimize", given, out=tmp_path / "run")
