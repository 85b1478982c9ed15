"""New rows in files that are written otherwise than the training file, or hold odd numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, undisturbed

from ftune.commands.evaluate import evaluate
from ftune.commands.predict import predict
from ftune.console import Console
from ftune.data.pipeline import restore as restored
from ftune.errors import DataError, RequestError
from ftune.predictor import Predictor, Sampling, restore
from ftune.runs.base import load_base
from ftune.schema.root import LANGUAGE

HEAD = "id;age;income;region;price"


def lines(count: int) -> list[str]:
    """Ages from 20 to 59, incomes from 1.000,5 to 9.000,5; the price of every tenth is unknown."""
    return [
        f"{i:05};{20 + i % 40};{1 + i % 9}.000,5;{('nord', 'süd')[i % 2]};"
        + (f"{1 + i % 9}.{i % 10}00,25" if i % 10 else "")
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a German file with two lines above its header."""
    place = tmp_path_factory.mktemp("files")
    text = "\n".join(["Report of sales", "of 2024;;;;", HEAD, *lines(80)])
    (place / "t.csv").write_text(text + "\n", encoding="utf-8")
    config = LANGUAGE.of({
        "task": "regression", "model": {"name": "mlp", "width": 4, "depth": 1},
        "data": {"source": "csv", "path": str(place / "t.csv"), "target": "price", "skip": 2,
                 "delimiter": ";", "decimal": ",", "thousands": ".", "drop_missing_target": True,
                 "transforms": [{"drop": ["id"]}, "standardize", "one_hot"]},
        "optimizer": {"name": "adamw", "lr": 0.1}, "train": {"epochs": 2, "batch_size": 8},
        "runtime": {"threads": 1, "device": "cpu"},
    })  # fmt: skip
    undisturbed(config, place / "run")
    return place


@pytest.fixture
def predictor(folder: Path) -> Predictor:
    return restore(load_base(folder / "run"))


def as_file(folder: Path, *rows: str, head: str = HEAD) -> Path:
    file = folder / "new.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file


def test_the_truth_of_a_number_stands_beside_its_prediction(
    folder: Path, predictor: Predictor
) -> None:
    file = as_file(folder, *lines(3))
    found = predictor.predict(file, keep=["id", "price"])
    assert list(found) == ["id", "price/true", "price"]
    assert found["id"] == ["00000", "00001", "00002"]
    assert found["price/true"] == [None, 2100.25, 3200.25]
    assert any("`price/true` what the input says" in note for note in predictor.notes)
    alone = predictor.predict(file, keep=["id"])
    assert list(alone) == ["id", "price"]
    assert alone["price"].tolist() == found["price"].tolist()
    assert not any("price/true" in note for note in predictor.notes)
    rows = [{"age": 30, "income": 1000.5, "region": "nord", "price": float(alone["price"][0])}]
    same = predictor.predict(rows, keep=["price"])["price"].tolist()
    rows[0]["price"] = same[0]  # a prediction that is exactly right is shown beside the truth too
    assert predictor.predict(rows, keep=["price"])["price/true"] == same


def test_a_header_in_the_first_line_needs_no_skip(folder: Path, predictor: Predictor) -> None:
    rows = lines(5)
    found = predictor.predict(as_file(folder, *rows))["price"].tolist()
    assert any(note.startswith("the first line of the new rows is the header: `skip: 2`")
               for note in predictor.notes)  # fmt: skip
    as_trained = as_file(folder, HEAD, *rows, head="Report\nof 2025;;;;")
    assert predictor.predict(as_trained)["price"].tolist() == found
    assert predictor.notes == []
    with pytest.raises(DataError, match="no line is left after `skip: 2`"):
        predictor.predict(as_file(folder, "1;2", head="x;y"))


def test_another_delimiter_is_seen(folder: Path, predictor: Predictor) -> None:
    wanted = predictor.predict(as_file(folder, "00001;30;1.000,5;nord;"))["price"].tolist()
    found = predictor.predict(as_file(folder, '30,"1.000,5",nord', head="age,income,region"))
    assert found["price"].tolist() == wanted
    (note,) = [note for note in predictor.notes if "separated" in note]
    assert note.startswith('the new rows are separated by ",", those of the training file by ";"')
    with pytest.raises(DataError, match="lacks the columns `region`"):
        predictor.predict(as_file(folder, "30;1.000,5", head="x\nx\nage;income"))


def test_another_notation_is_given_with_the_command(folder: Path, predictor: Predictor) -> None:
    wanted = predictor.predict(as_file(folder, "00001;30;1.000,5;nord;"))["price"].tolist()
    base, target = load_base(folder / "run"), folder / "p.csv"
    file = as_file(folder, "30,1000.5,nord", head="age,income,region")
    with pytest.raises(DataError, match=r"Settings are given with the command: `data.decimal=…`"):
        predict(base, file, target, None, Sampling(), QUIET)
    settings = ("data.decimal=.", "data.thousands=null")
    predict(base, file, target, None, Sampling(), QUIET, changes=settings)
    assert [float(x) for x in target.read_text(encoding="utf-8").split()[1:]] == wanted
    with pytest.raises(RequestError, match=r"`train.epochs=3`: predict takes data.decimal"):
        predict(base, file, target, None, Sampling(), QUIET, changes=["train.epochs=3"])


def test_rows_that_are_scored_and_left_out_are_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, file = load_base(folder / "run"), as_file(folder, *lines(20))
    told = evaluate(base, [f"data.path={file}"], None, Console())
    assert told["rows"] == 18
    assert any("drop_missing_target: 2 rows (1, 11) of " in note for note in told["notes"])
    assert "18 rows of " in capsys.readouterr().out
    told = evaluate(base, [f"data.path={as_file(folder, *lines(20)[1:10])}"], None, QUIET)
    assert told["rows"] == 9
    assert not any("drop_missing_target" in note for note in told["notes"])
    with pytest.raises(RequestError, match=r"evaluate takes data.path, data.cache"):
        evaluate(base, ["data.skip=0"], None, QUIET)  # the run's own rows are written as they are


@pytest.mark.parametrize(
    ("age", "income", "said"),
    [
        (200, 1000.5, ["`age`: 1 value lies far outside of what training saw, 21 to 59 (200 in"]),
        (30, -5e6, ["`income`: 1 value lies far outside of what training saw, 1,000.5 to 9,000.5"]),
        (90, 15000, []),  # beyond the ends, but by less than the range is wide
    ],
)
def test_numbers_far_beyond_those_of_training_are_counted(
    age: int, income: float, said: list[str], predictor: Predictor
) -> None:
    rows = [{"age": 30, "income": 1000.5, "region": "nord"}] * 2
    predictor.predict([*rows, {"age": age, "income": income, "region": "nord"}])
    assert len(predictor.notes) == len(said)
    assert all(note.startswith(text) for note, text in zip(predictor.notes, said, strict=True))


def test_a_pipeline_of_before_knows_no_ranges(predictor: Predictor) -> None:
    pipeline: Any = predictor.pipeline
    assert pipeline.ranges == {"age": (21, 59), "income": (1000.5, 9000.5)}
    stored = {name: part for name, part in pipeline.to_json().items() if name != "ranges"}
    assert getattr(restored(stored, pipeline.arrays()), "ranges", None) == {}


def test_a_gap_that_training_had_not_means_training_anew(predictor: Predictor) -> None:
    rows: list[dict[str, Any]] = [{"age": None, "income": 1000.5, "region": "nord"}]
    with pytest.raises(DataError, match=r"missing values in row 1; fill them.* training it anew"):
        predictor.predict([*rows, {**rows[0], "age": 30}])
