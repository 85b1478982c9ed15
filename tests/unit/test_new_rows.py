"""Rows to predict as people have them: from a program, kept beside, unseen, odd, unreadable."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.trainings import QUIET, undisturbed

from ftune.commands.evaluate import evaluate
from ftune.errors import DataError, FtuneError, RequestError
from ftune.predictor import Predictor, restore
from ftune.runs.base import load_base
from ftune.schema.root import LANGUAGE

COLOURS = ("red", "green", "blue")


def table(count: int) -> list[dict[str, Any]]:
    return [
        {"id": 10**17 + i, "zip": f"{i:05}", "size": i % 7 + 0.5, "colour": COLOURS[i % 3],
         "sold": f"2024-0{i % 9 + 1}-11", "grade": i % 7 // 4 + 1}
        for i in range(count)
    ]  # fmt: skip


def as_csv(rows: list[dict[str, Any]]) -> str:
    lines = [",".join(str(value) for value in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *lines]) + "\n"


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a csv, and two files of new rows."""
    place = tmp_path_factory.mktemp("rows")
    (place / "t.csv").write_text(as_csv(table(60)), encoding="utf-8")
    config = LANGUAGE.of({
        "task": "classification", "model": {"name": "mlp", "width": 4, "depth": 1},
        "data": {"source": "csv", "path": str(place / "t.csv"), "target": "grade",
                 "transforms": [{"drop": ["id", "zip"]}, "date", "impute", "one_hot"]},
        "optimizer": {"name": "adamw", "lr": 0.1}, "train": {"epochs": 3, "batch_size": 8},
        "runtime": {"threads": 1, "device": "cpu"},
    })  # fmt: skip
    undisturbed(config, place / "run")
    (place / "n.csv").write_text(as_csv(table(9)), encoding="utf-8")
    (place / "n.jsonl").write_text(as_jsonl(table(9)), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return restore(load_base(folder / "run"))


def data_frames(rows: list[dict[str, Any]]) -> list[Any]:
    """Of pandas, where it is installed."""
    with suppress(ImportError):
        pandas = import_module("pandas")
        frame = pandas.DataFrame(rows, index=range(5, 5 + len(rows)))
        return [frame, frame.astype({"colour": "category"})]
    return []


def test_rows_of_a_program_are_predicted_as_those_of_a_file(
    folder: Path, predictor: Predictor
) -> None:
    rows = table(9)
    wanted = predictor.predict(folder / "n.csv")
    arrow = pa.Table.from_pylist(rows)
    views = arrow.set_column(3, "colour", arrow["colour"].cast(pa.string_view()))
    for given in (rows, arrow, views, arrow.to_batches()[0], *data_frames(rows)):
        found = predictor.predict(given)
        assert found["prediction"] == wanted["prediction"]
        assert (found["probability/1"] == wanted["probability/1"]).all()
    assert len(set(wanted["prediction"])) == 2  # the control: rows are told apart


def test_numeric_classes_come_back_as_numbers(folder: Path, predictor: Predictor) -> None:
    assert {type(value) for value in predictor.predict(folder / "n.csv")["prediction"]} == {int}
    target = predictor.pipeline.target
    assert target.predicted(["2", "1"]) == [2, 1]


@pytest.mark.parametrize(
    ("source", "classes", "wanted"),
    [
        ("csv", ["0.5", "1.5"], {0.5, 1.5}),
        ("csv", ["01", "02"], {"01", "02"}),
        ("csv", ["1", "b"], {"1", "b"}),
        ("jsonl", [1, 2], {1, 2}),
        ("jsonl", ["1", "2"], {"1", "2"}),
    ],
)
def test_classes_are_numbers_only_where_the_file_has_numbers(
    source: str, classes: list[Any], wanted: set[Any], tmp_path: Path
) -> None:
    rows = [{"a": i % 4, "y": classes[i % 4 // 2]} for i in range(40)]
    text = as_csv(rows) if source == "csv" else as_jsonl(rows)
    (tmp_path / f"t.{source}").write_text(text, encoding="utf-8")
    types = {"types": {"y": "text"}} if classes[0] == "01" else {}
    config = LANGUAGE.of({
        "task": "classification", "model": {"name": "mlp", "width": 4, "depth": 1},
        "data": {"source": source, "path": str(tmp_path / f"t.{source}"), "target": "y", **types},
        "optimizer": {"name": "adamw", "lr": 0.1}, "train": {"epochs": 9, "batch_size": 8},
        "runtime": {"threads": 1, "device": "cpu"},
    })  # fmt: skip
    undisturbed(config, tmp_path / "run")
    found = restore(load_base(tmp_path / "run")).predict([{"a": 0}, {"a": 3}])["prediction"]
    assert set(found) == wanted
    assert {type(value) for value in found} == {type(value) for value in wanted}


def test_columns_stand_beside_as_they_were_written(folder: Path, predictor: Predictor) -> None:
    rows = table(9)
    names = ["id", "zip", "grade", "size", "colour"]
    for given in (folder / "n.csv", folder / "n.jsonl", rows):
        found = predictor.predict(given, keep=names)
        assert list(found)[:6] == [*names, "prediction"]
        assert [dict(zip(names, row, strict=True)) for row in zip(*(found[n] for n in names),
                strict=True)] == [{n: row[n] for n in names} for row in rows]  # fmt: skip
    assert "id" not in predictor.predict(rows)
    with pytest.raises(DataError, match="keep: no column `ids`; did you mean `id`"):
        predictor.predict(rows, keep=["ids"])


def test_unseen_categories_are_counted(folder: Path, predictor: Predictor) -> None:
    rows = table(9)
    predictor.predict(rows)
    assert predictor.notes == []
    for row in rows[:4]:
        row["colour"] = "mauve"
    predictor.predict(rows)
    (note,) = predictor.notes
    assert "`colour`" in note
    assert "`mauve` (4 rows)" in note
    assert "set no flag" in note
    (folder / "odd.csv").write_text(as_csv(rows), encoding="utf-8")
    told = evaluate(load_base(folder / "run"), [f"data.path={folder / 'odd.csv'}"], None, QUIET)
    assert told["notes"] == [note]


@pytest.mark.parametrize(
    ("column", "value", "row", "kind"), [("size", "abc", 5, "number"), ("sold", "soon", 3, "date")]
)
def test_the_row_that_does_not_fit_is_named(
    column: str, value: str, row: int, kind: str, folder: Path, predictor: Predictor
) -> None:
    rows = [{**one, column: str(one[column])} for one in table(9)]
    rows[row - 1][column] = value
    (folder / "bad.csv").write_text(as_csv(rows), encoding="utf-8")
    with pytest.raises(DataError, match=f"`{column}` holds '{value}' in row {row}"):
        predictor.predict(folder / "bad.csv")
    said = f"`{column}` held {kind}s in training, but 1 value is not .row {row}: '{value}'"
    with pytest.raises(DataError, match=said):
        predictor.predict(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"size": 1.5}, {"size": "abc"}], "column `size`: row 2: 'abc' (str) does not go"),
        ([{"size": 1.5}, 7], "row 2 is a int, not a mapping"),
        ({"size": 1.5}, "write a list of rows"),
        ([], "there are none"),
        (7, "int is not a file"),
        ([{"size": 1.5}], "lacks the columns `colour`, `sold`"),
    ],
)
def test_rows_of_a_program_that_cannot_be_read(
    rows: Any, message: str, predictor: Predictor
) -> None:
    with pytest.raises(FtuneError) as caught:
        predictor.predict(rows)
    assert message in str(caught.value)


def streamed(folder: Path, content: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "ftune.cli", "predict", str(folder / "run"), "--input", "-",
         "--output", "-", *words],
        input=content, capture_output=True,
    )  # fmt: skip


def test_a_stream_in_and_a_stream_out(folder: Path, predictor: Predictor) -> None:
    wanted = predictor.predict(folder / "n.csv")["prediction"]
    done = streamed(folder, (folder / "n.csv").read_bytes(), "--keep", "id,zip", "--json")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert lines[0].replace('"', "").split(",")[:3] == ["id", "zip", "prediction"]
    assert [int(line.split(",")[2]) for line in lines[1:]] == wanted
    assert json.loads(done.stderr.splitlines()[-1])["rows"] == 9
    assert lines[2].split(",")[1] == '"00001"'

    done = streamed(folder, (folder / "n.jsonl").read_bytes())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["prediction"] for row in rows] == wanted

    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(table(9)), buffer)
    done = streamed(folder, buffer.getvalue())
    assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == wanted


def test_a_faulty_stream_is_called_stdin(folder: Path) -> None:
    done = streamed(folder, b"size\n1\n")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: stdin: lacks the columns `colour`, `sold`")
    assert done.stdout == b""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over pictures, and a folder of five new ones of which two cannot be read."""
    from PIL import Image

    place = tmp_path_factory.mktemp("pictures")
    for i in range(24):
        (place / "seen" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6), (9 * i, 40, 90)).save(place / "seen" / "ab"[i % 2] / f"{i}.png")
    config = LANGUAGE.of({
        "task": "classification", "train": {"steps": 2}, "runtime": {"threads": 1},
        "model": {"name": "sequential", "layers": [{"conv2d": 2, "kernel": 3}, "globalpool",
                                                   {"linear": "out"}]},
        "data": {"source": "images", "path": str(place / "seen"), "cache": False,
                 "split": {"val": 4, "test": 0}},
    })  # fmt: skip
    undisturbed(config, place / "run")
    (place / "new").mkdir()
    for i in range(5):
        Image.new("RGB", (6, 6), (9 * i, 40, 90)).save(place / "new" / f"{i}.png")
    (place / "new" / "1.png").write_bytes(b"no picture")
    (place / "new" / "3.png").write_bytes((place / "new" / "4.png").read_bytes()[:45])
    return place


def test_images_that_cannot_be_read_stop_a_folder_unless_skipped(pictures: Path) -> None:
    predictor = restore(load_base(pictures / "run"))
    with pytest.raises(DataError, match="2 of 5 images cannot be used"):
        predictor.predict(pictures / "new")
    found = predictor.predict(pictures / "new", skip_bad=True)
    assert found["image"] == [f"{i}.png" for i in range(5)]
    assert [value is None for value in found["prediction"]] == [False, True, False, True, False]
    assert [reason is None for reason in found["error"]] == [True, False, True, False, True]
    (note,) = predictor.notes
    assert note.startswith("2 of 5 images cannot be read and have no prediction (1.png: not an im")
    (pictures / "good").mkdir()
    for i in (0, 2, 4):
        (pictures / "good" / f"{i}.png").write_bytes((pictures / "new" / f"{i}.png").read_bytes())
    alone = predictor.predict(pictures / "good", skip_bad=True)
    assert "error" not in alone
    assert predictor.notes == []
    assert [found["probability/a"][i] for i in (0, 2, 4)] == alone["probability/a"].tolist()
    rows = [{"image": str(pictures / "new" / "0.png")}, {"image": None}]
    assert predictor.predict(rows, skip_bad=True)["error"] == [None, "no path"]


def test_where_nothing_can_be_skipped(pictures: Path, predictor: Predictor) -> None:
    with pytest.raises(RequestError, match=r"is for images.* leave them out of the input"):
        predictor.predict(table(3), skip_bad=True)
    (pictures / "none").mkdir()
    (pictures / "none" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 1 images cannot be used"):
        restore(load_base(pictures / "run")).predict(pictures / "none", skip_bad=True)


def test_a_folder_by_the_command(pictures: Path) -> None:
    words = [sys.executable, "-m", "ftune.cli", "predict", str(pictures / "run"), "--skip-bad",
             "--input", str(pictures / "new"), "--output", str(pictures / "p.jsonl")]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "note: 2 of 5 images cannot be read" in done.stdout
    lines = (pictures / "p.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["prediction"] for row in rows][1] is None
    assert rows[1]["error"].startswith("not an image")
