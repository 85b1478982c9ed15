"""Tags that stand in one column: `data.separator` with `multi_label: true`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.apart import apart
from typer.testing import CliRunner

from ftune.cli import app
from ftune.data.pipeline import restore
from ftune.data.prepare import prepare
from ftune.data.profile.profile import profile
from ftune.data.tables import TablePipeline
from ftune.data.validation.validate import validate
from ftune.errors import ConfigError, DataError
from ftune.schema.root import LANGUAGE

ReadData = Callable[..., Any]
Write = Callable[[str, str | bytes], str]
TAGS = ["hot;new", "", "new", " hot ; old;", "hot;hot"] * 12
CSV = "x,tags\n" + "".join(f"{i},{tags}\n" for i, tags in enumerate(TAGS))
ALL = {"source": "csv", "target": "tags", "separator": ";", "split": {"val": 0, "test": 0}}


def values(dataset: Any) -> list[list[float]]:
    found: list[list[float]] = dataset.train.y[:5].tolist()
    return found


def test_each_tag_is_a_label(read_data: ReadData, write: Write) -> None:
    data = read_data(path=write("t.csv", CSV), **ALL)
    made = prepare(data, "labels", 0)
    assert made.pipeline.target.labels == ("hot", "new", "old")
    assert values(made) == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 0, 0]]
    assert made.notes == []
    stored = json.loads(json.dumps(made.pipeline.to_json()))
    assert restore(stored, made.pipeline.arrays()) == made.pipeline
    (told,) = validate(data, "labels")
    assert told.rows == 60


def test_the_profile_counts_the_labels(read_data: ReadData, write: Write) -> None:
    data = read_data(path=write("t.csv", CSV), **ALL)
    found = profile(data.source.load()["all"], data, "labels")
    (tags,) = [column for column in found.columns if column.name == "tags"]
    assert (tags.distinct, tags.gaps) == (3, 0)
    assert tags.top == [("hot", 36), ("new", 24), ("old", 12)]
    assert ("tags", "target, 3 labels", 0, "hot (36), new (24), old (12); 12 rows have none") in (
        found.table()
    )
    plain = read_data(source="csv", path=write("c.csv", "x,tags\n1,a;b\n2,a\n3,a\n"), target="tags")
    control = profile(plain.source.load()["all"], plain, "classes")
    assert control.columns[1].top == [("a", 2), ("a;b", 1)]


def test_columns_of_0_and_1_are_stored_as_ever(read_data: ReadData, write: Write) -> None:
    """The control, and runs from before know nothing of a separator."""
    rows = "x,hot\n" + "".join(f"{i},{i % 2}\n" for i in range(9))
    data = read_data(source="csv", path=write("t.csv", rows), target=["hot"])
    pipeline = prepare(data, "labels", 0).pipeline
    assert pipeline.target.labels == ("hot",)
    assert pipeline.to_json()["target"] == {"names": ["hot"], "kind": "labels", "classes": []}
    assert isinstance(restore(pipeline.to_json(), pipeline.arrays()), TablePipeline)


@pytest.mark.parametrize(
    ("tags", "separator", "labels"),
    [
        (["1", "2", "1"], ";", ("1", "2")),  # a column of numbers
        (["10 2", "2", "9"], " ", ("2", "9", "10")),
        (["a|b", "b", "a.*"], "|", ("a", "a.*", "b")),  # no pattern
        (["x, y", "y", ""], ", ", ("x", "y")),
    ],
)
def test_separators(
    tags: list[str], separator: str, labels: tuple[str, ...], read_data: ReadData, write: Write
) -> None:
    rows = "x,tags\n" + "".join(f'{i},"{tag}"\n' for i, tag in enumerate(tags * 5))
    data = read_data(path=write("t.csv", rows), **ALL | {"separator": separator})
    assert prepare(data, "labels", 0).pipeline.target.labels == labels
    assert validate(data, "labels")[0].rows == 15


def test_what_looks_like_another_separator_is_said(read_data: ReadData, write: Write) -> None:
    data = read_data(path=write("t.csv", CSV), **ALL | {"separator": "|"})
    (note,) = prepare(data, "labels", 0).notes
    assert 'no row of `tags` has two tags separated by "|"; the labels are `hot ; old;`' in note


def test_a_tag_without_a_training_row_is_said(read_data: ReadData, write: Write) -> None:
    rows = "x,tags,t\n" + "".join(f"{i},{'ab'[i == 19]};c,{i}\n" for i in range(20))
    split = {"val": 1, "test": 0, "time": "t"}
    data = read_data(path=write("t.csv", rows), **ALL | {"split": split})
    assert "classes without a training row: `b`." in prepare(data, "labels", 0).notes


def test_faults_are_the_same_in_training_and_check(read_data: ReadData, write: Write) -> None:
    train, val = write("t.csv", CSV), write("v.csv", "x,tags\n1,hot\n2,cold;new\n3,odd\n")
    empty = write("e.csv", "x,tags\n1,\n2,;\n3,\n")
    unknown = "v.csv: target `tags`: unknown tag `cold`, `odd` in 2 rows (2, 3); known: `hot`, `n"
    for path, expected in (({"train": train, "val": val}, unknown), (empty, "no row has a tag")):
        data = read_data(path=path, **ALL)
        for look in (lambda: prepare(data, "labels", 0), lambda: validate(data, "labels")):  # noqa: B023
            with pytest.raises(DataError) as caught:
                look()
            assert expected in str(caught.value)


def test_texts_among_0_and_1_name_the_setting(read_data: ReadData, write: Write) -> None:
    data = read_data(source="csv", path=write("t.csv", CSV), target="tags")
    with pytest.raises(DataError, match=r"the label `tags` is `hot;new`.*`data.separator`"):
        prepare(data, "labels", 0)


@pytest.mark.parametrize(
    ("task", "changes", "expected"),
    [
        ("classification", {}, "is for tags: write `task: {name: classification, multi_label"),
        ({"name": "classification", "multi_label": True}, {"separator": ""}, "is empty"),
        ({"name": "classification", "multi_label": True}, {"target": ["a", "b"]}, "one column"),
    ],
)
def test_a_separator_is_for_one_column_of_tags(
    task: Any, changes: dict[str, Any], expected: str
) -> None:
    data = {"source": "csv", "path": "t.csv", "target": "a", "separator": ";"} | changes
    with pytest.raises(ConfigError, match=expected):
        LANGUAGE.of({"task": task, "data": data})


def test_from_training_to_predictions(tmp_path: Path) -> None:
    """x tells the tags; the labels are the columns of the predictions."""
    apart(trained_and_predicted, tmp_path)


def trained_and_predicted() -> None:
    rows = (f"{i % 3},{['a;b', 'b', ''][i % 3]}\n" for i in range(90))
    Path("t.csv").write_text("x,tags\n" + "".join(rows))
    Path("c.yaml").write_text(
        "task: {name: classification, multi_label: true}\n"
        "data: {source: csv, path: t.csv, target: tags, separator: ';'}\n"
        "model: {name: mlp, width: 16}\noptimizer: {name: adamw, lr: 0.01}\n"
        "train: {epochs: 40, batch_size: 16}\nruntime: {threads: 1}\n"
    )
    Path("new.csv").write_text("x\n0\n1\n2\n")
    Path("odd.csv").write_text("x,tags\n0,b\n1,b;c\n")
    run = CliRunner().invoke
    assert run(app, ["optimize", "c.yaml", "--out", "run"]).exit_code == 0
    done = run(app, ["predict", "run", "--input", "new.csv", "--output", "p.csv"])
    assert done.exit_code == 0, done.output
    header, *lines = Path("p.csv").read_text().splitlines()
    assert header == '"a","b","probability/a","probability/b"'
    assert [line.split(",")[:2] for line in lines] == [["1", "1"], ["0", "1"], ["0", "0"]]
    again = run(app, ["evaluate", "run", "data.path=t.csv", "--json"])
    assert json.loads(again.stdout)["metrics"]["t.csv"]["exact"] == 1
    odd = run(app, ["evaluate", "run", "data.path=odd.csv"])
    assert (odd.exit_code, "unknown tag `c` in row 2" in odd.output) == (2, True)


@pytest.mark.parametrize("tags", [["hot", ""], ["hot", "new"]])
def test_without_a_separator_it_is_named(
    tags: list[str], read_data: ReadData, write: Write
) -> None:
    text = "x,tags\n" + "".join(f"{i},{tags[i % 2]}\n" for i in range(20))
    data = read_data(source="csv", path=write("t.csv", text), target="tags")
    said = []
    for attempt in (lambda: validate(data, "labels"), lambda: prepare(data, "labels", 0)):
        with pytest.raises(DataError, match=r"several tags in one column: `data.separator`") as e:
            attempt()
        said.append(str(e.value))
    assert said[0] == said[1]
    gaps = "x,tags\n" + "".join(f"{i},{['1', '', '0'][i % 3]}\n" for i in range(20))
    with pytest.raises(DataError, match="is missing in 7 rows"):
        validate(read_data(source="csv", path=write("g.csv", gaps), target="tags"), "labels")
