from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from ftune.data.dataset import Dataset, fingerprint
from ftune.data.new_rows import new_rows
from ftune.data.pipeline import fit, restore
from ftune.data.prepare import prepare
from ftune.data.reading import load
from ftune.data.schema import Data
from ftune.data.tables import TablePipeline
from ftune.errors import CheckpointError, DataError

ReadData = Callable[..., Data]
Write = Callable[[str, str | bytes], str]
REAL = Path(__file__).resolve().parents[3] / "../shared/data"


def table_of(made: Dataset) -> TablePipeline:
    assert isinstance(made.pipeline, TablePipeline)
    return made.pipeline


def targets(made: Dataset) -> torch.Tensor:
    assert made.train.y is not None
    return made.train.y


def table(size: int = 60) -> dict[str, list[Any]]:
    return {
        "age": [None if i % 11 == 0 else i for i in range(size)],
        "zip": [f"0{i % 4}" for i in range(size)],
        "when": [f"2024-0{1 + i % 9}-11" for i in range(size)],
        "y": ["low" if i % 3 else "high" for i in range(size)],
    }


def as_csv(columns: dict[str, list[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("?" if v is None else str(v) for v in row) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"


def as_jsonl(columns: dict[str, list[Any]]) -> str:
    rows = zip(*columns.values(), strict=True)
    return "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)


def test_every_format_gives_the_same_tensors(
    read_data: ReadData, write: Write, tmp_path: Path
) -> None:
    columns = table()
    days = pa.array(np.array(columns["when"], dtype="datetime64[D]"))
    parquet.write_table(pa.table(columns | {"when": days}), tmp_path / "t.parquet")
    paths = {
        "csv": write("t.csv", as_csv(columns)),
        "jsonl": write("t.jsonl", as_jsonl(columns)),
        "parquet": str(tmp_path / "t.parquet"),
    }
    found = {}
    for source, path in paths.items():
        types = {"types": {"zip": "text"}} if source == "csv" else {}
        found[source] = prepare(
            read_data(source=source, path=path, target="y", **types), "classes", 0
        )
    names = found["csv"].pipeline.features.names
    assert names is not None and {"age", "zip=00", "when.month"} <= set(names)
    assert len({fingerprint(one) for one in found.values()}) == 1


def test_npz_arrays_and_their_own_split(read_data: ReadData, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, y = rng.integers(0, 255, (30, 5, 4)).astype(np.uint8), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", image=image, y=y)
    data = read_data(source="npz", path=str(tmp_path / "a.npz"), target="y", transforms=[])
    made = prepare(data, "classes", 0)
    assert made.train.x.shape[1:] == (1, 5, 4)
    assert made.pipeline.features.names is None
    assert torch.equal(made.train.x[:, 0], torch.from_numpy(image[made.train.rows - 1]).float())

    np.savez(
        tmp_path / "b.npz", x_train=image[:20], y_train=y[:20], x_test=image[20:], y_test=y[20:]
    )
    made = prepare(read_data(source="npz", path=str(tmp_path / "b.npz"), target="y"), "classes", 0)
    assert made.test is not None and made.val is not None
    assert (len(made.train), len(made.val), len(made.test)) == (18, 2, 10)


@pytest.mark.parametrize(
    ("name", "kind", "shape", "classes"),
    [
        ("digits", "classes", (1, 8, 8), tuple("0123456789")),
        ("iris", "classes", (4,), ("setosa", "versicolor", "virginica")),
        ("wine", "classes", (13,), ("class_0", "class_1", "class_2")),
        ("breast_cancer", "classes", (30,), ("benign", "malignant")),
        ("diabetes", "numbers", (10,), ()),
    ],
)
def test_sklearn(
    name: str, kind: Any, shape: tuple[int, ...], classes: tuple[str, ...], read_data: ReadData
) -> None:
    made = prepare(read_data(source="sklearn", name=name), kind, 0)
    assert made.pipeline.features.shape == shape and made.pipeline.target.classes == classes
    assert targets(made).dtype == (torch.int64 if kind == "classes" else torch.float32)
    assert len(set(torch.cat([made.train.rows, *_rows(made)]).tolist())) == sum(
        map(len, _parts(made))
    )


def _parts(made: Dataset) -> list[Any]:
    return [part for part in (made.train, made.val, made.test) if part is not None]


def _rows(made: Dataset) -> list[torch.Tensor]:
    return [part.rows for part in _parts(made)[1:]]


def test_what_was_read_is_gone_when_it_is_divided(
    read_data: ReadData, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a table lies in memory twice while its transforms are fitted."""
    data = read_data(source="csv", path=write("t.csv", as_csv(table())), target="y")
    frames = data.source.load()
    read, alive = weakref.ref(frames["all"]["age"]), list[bool]()
    monkeypatch.setattr(type(data.source), "load_as", lambda *_: {"all": frames.pop("all")})

    def fitted(*given: Any) -> Any:
        alive.append(read() is not None)
        return fit(*given)

    monkeypatch.setattr("ftune.data.prepare.fit", fitted)
    assert len(prepare(data, "classes", 0).train) > 30
    assert alive == [False]


def test_classes_filter_and_order(read_data: ReadData) -> None:
    made = prepare(read_data(source="sklearn", classes=[7, 3, 5]), "classes", 0)
    assert made.pipeline.target.classes == ("7", "3", "5")
    from sklearn.datasets import load_digits

    truth = load_digits().target[made.train.rows - 1]
    names = np.array([7, 3, 5])[targets(made)]
    assert (truth == names).all()


def test_per_class_and_limit_touch_only_training(read_data: ReadData) -> None:
    whole = prepare(read_data(source="sklearn"), "classes", 0)
    few = prepare(read_data(source="sklearn", per_class=10), "classes", 0)
    limited = prepare(read_data(source="sklearn", limit=50), "classes", 0)
    assert torch.bincount(targets(few)).tolist() == [10] * 10
    assert len(limited.train) == 50
    for made in (few, limited):
        assert whole.test and made.test and torch.equal(made.test.rows, whole.test.rows)
        assert set(made.train.rows.tolist()) < set(whole.train.rows.tolist())


def test_statistics_come_from_the_training_rows_alone(read_data: ReadData) -> None:
    data = read_data(source="sklearn", name="wine", transforms=["standardize"])
    made = prepare(data, "classes", 0)
    assert made.train.x.mean(0).abs().max() < 1e-5
    assert made.test and made.test.x.mean(0).abs().max() > 1e-2


def test_same_seed_same_bits(read_data: ReadData) -> None:
    data = read_data(source="sklearn", name="iris")
    prints = [fingerprint(prepare(data, "classes", seed)) for seed in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]


def test_fitted_is_used_as_it_is(read_data: ReadData) -> None:
    first = prepare(read_data(source="sklearn", name="iris"), "classes", 0)
    stored = json.loads(json.dumps(first.pipeline.to_json()))
    again = TablePipeline.restore(stored, first.pipeline.arrays())
    other = read_data(source="sklearn", name="iris", limit=20)
    made = prepare(other, "classes", 0, fitted=again)
    assert made.test and first.test and torch.equal(made.test.x, first.test.x)
    refitted = prepare(other, "classes", 0)
    assert refitted.test and not torch.equal(refitted.test.x, first.test.x)
    with pytest.raises(CheckpointError, match="version 99"):
        TablePipeline.restore(stored | {"version": 99}, {})


@pytest.mark.parametrize("damage", ["mean", "scale", "target", "class"])
def test_a_stored_pipeline_that_lacks_something_is_damaged(
    damage: str, read_data: ReadData
) -> None:
    data = read_data(source="sklearn", name="iris", transforms=["standardize"])
    pipeline = prepare(data, "classes", 0).pipeline
    stored = json.loads(json.dumps(pipeline.to_json()))
    assert restore(stored, pipeline.arrays()) == pipeline
    if damage == "target":
        stored["target"]["names"] = []
    elif damage == "class":
        stored["target"]["classes"][0] = None
    else:
        del next(iter(stored["steps"][0]["state"].values()))[damage]
    with pytest.raises(CheckpointError, match="the data pipeline in a checkpoint: damaged"):
        restore(stored, pipeline.arrays())


def test_a_renamed_column_is_no_change_to_the_base(read_data: ReadData, write: Write) -> None:
    columns = table()
    old = read_data(source="csv", path=write("old.csv", as_csv(columns)), target="y")
    renamed = {"years" if name == "age" else name: column for name, column in columns.items()}
    data = read_data(
        source="csv", path=write("new.csv", as_csv(renamed)), target="y",
        transforms=[{"rename": {"years": "age"}}, "auto"],
    )  # fmt: skip
    made = prepare(data, "classes", 0, prior=prepare(old, "classes", 0).pipeline)
    assert made.notes == ["statistics of the base kept: `years`, `zip`, `when`."]


def test_base_says_what_changed(read_data: ReadData, write: Write) -> None:
    columns = table()
    base_path = write("base.csv", as_csv({k: v for k, v in columns.items() if k != "zip"}))
    new_path = write("new.csv", as_csv({k: v for k, v in columns.items() if k != "when"}))
    base = prepare(read_data(source="csv", path=base_path, target="y"), "classes", 0)
    data = read_data(source="csv", path=new_path, target="y", split={"test": 0.4})
    made = prepare(data, "classes", 0, prior=base.pipeline)
    assert "columns of the base that this data lacks: `when`." in made.notes
    assert "columns that the base did not have: `zip`." in made.notes
    ages = [
        next(s.state["age"] for s in table_of(p).steps if "mean" in s.state.get("age", {}))
        for p in (base, made, prepare(data, "classes", 0))
    ]
    assert ages[0] == ages[1] != ages[2]


def test_multi_label(read_data: ReadData, write: Write) -> None:
    lines = ["x,a,b"] + [f"{i},{i % 2},{'yes' if i % 3 else 'no'}" for i in range(30)]
    data = read_data(source="csv", path=write("t.csv", "\n".join(lines) + "\n"), target=["a", "b"])
    made = prepare(data, "labels", 0)
    rows = made.train.rows - 1
    expected = torch.stack([rows % 2, (rows % 3 != 0).long()], 1).float()
    assert torch.equal(targets(made), expected)
    wrong = read_data(
        source="csv", path=write("w.csv", "\n".join(lines) + "\n1,2,no\n"), target=["a", "b"]
    )
    with pytest.raises(DataError, match=r"label `a` is `2` in row 31; expected 0 or 1"):
        prepare(wrong, "labels", 0)
    with pytest.raises(DataError, match="a row has one class"):
        prepare(data, "classes", 0)


def test_predicting_needs_no_target_and_keeps_types(read_data: ReadData, write: Write) -> None:
    columns = table()
    path = write("t.csv", as_csv(columns))
    data = read_data(source="csv", path=path, target="y", types={"zip": "text", "y": "text"})
    made = prepare(data, "classes", 0)
    new = {name: values[:1] for name, values in columns.items() if name != "y"}
    plain = read_data(source="sklearn")
    frames = [
        new_rows(data, write("n.csv", as_csv(new)), made.pipeline).frame,
        new_rows(data, write("n.jsonl", as_jsonl(new)), made.pipeline).frame,
        new_rows(plain, write("n.csv", as_csv(new)), made.pipeline).frame,
    ]
    inputs = [table_of(made).inputs(frame).x for frame in frames]
    assert torch.equal(inputs[0], inputs[1]) and torch.equal(inputs[0], inputs[2])
    whole = load(data, "classes", made.pipeline)["all"]
    assert len(whole) == 60 and torch.equal(table_of(made).inputs(whole).x[0], inputs[0][0])
    with pytest.raises(DataError, match=r"no reader for `\.xls`"):
        new_rows(data, "n.xls", made.pipeline)
    with pytest.raises(DataError, match="lacks the columns `zip`"):
        new_rows(data, write("m.csv", as_csv({"age": [1], "when": ["2024-01-01"]})), made.pipeline)


def test_group_is_no_input_and_extra_columns_do_not_matter(
    read_data: ReadData, write: Write
) -> None:
    path = write("t.csv", as_csv(table()))
    data = read_data(source="csv", path=path, target="y", split={"group": "zip"})
    made = prepare(data, "classes", 0)
    assert list(made.pipeline.columns) == ["age", "when"]
    frame = load(data, "classes", made.pipeline)["all"]
    assert table_of(made).inputs(frame.without(["zip", "y"])).x.shape[0] == 60


def test_csv_dialects(read_data: ReadData, write: Write) -> None:
    plain = "a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(30))
    expected = fingerprint(
        prepare(read_data(source="csv", path=write("p.csv", plain), target="y"), "classes", 0)
    )
    variants: list[tuple[str, bytes, dict[str, Any]]] = [
        ("t.tsv", plain.replace(",", "\t").encode(), {}),
        ("s.csv", plain.replace(",", ";").encode(), {"delimiter": ";"}),
        ("h.csv", plain.split("\n", 1)[1].encode(), {"header": ["a", "y"]}),
        ("b.csv", b"\xef\xbb\xbf" + plain.encode(), {}),
        ("u.csv", plain.encode("utf-16"), {"encoding": "utf-16"}),
        ("q.csv", plain.replace("a,y", "'a','y'").encode(), {"quote": "'"}),
        ("m.csv", plain.replace("0,0\n", "-,0\n", 1).encode(), {"missing": ["-"]}),
    ]
    for name, content, settings in variants:
        data = read_data(source="csv", path=write(name, content), target="y", **settings)
        same = fingerprint(prepare(data, "classes", 0)) == expected
        assert same != (name == "m.csv"), name


@pytest.mark.parametrize(
    ("early", "late"), [("1", "1.5"), ("", "2"), ("2024-01-01", "2024-01-01 10:00:00")]
)
def test_csv_columns_that_change_after_the_first_block(
    early: str, late: str, read_data: ReadData, write: Write
) -> None:
    filler = "x" * 40
    lines = [f"{early},{i % 2},{filler}" for i in range(40_000)] + [f"{late},0,{filler}"]
    path = write("t.csv", "\n".join(["a,y,z", *lines]) + "\n")
    assert Path(path).stat().st_size > 2**20, "the file must be larger than a block"
    column = read_data(source="csv", path=path, target="y").source.read(path)["a"]
    assert column.dtype.kind in "fM" and len(column) == 40_001
    assert column[-1] == (np.datetime64(late.replace(" ", "T")) if ":" in late else float(late))


def test_fingerprint_of_a_file(write: Write) -> None:
    import hashlib

    path = write("t.csv", "a,b\n")
    assert fingerprint(path) == hashlib.sha256(b"a,b\n").hexdigest()


def test_reading_the_block_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ftune.data.schema import SOURCES, TRANSFORMS;"
        "from ftune.config.fields import settings_of;"
        "[settings_of(t[n]) for t in (SOURCES, TRANSFORMS) for n in t];"
        "print({'torch', 'numpy', 'pyarrow', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_setting_is_documented() -> None:
    from ftune.config.fields import settings_of
    from ftune.data import SOURCES, TRANSFORMS
    from ftune.data.schema import Split

    schemas = [Data, Split, *SOURCES.values(), *TRANSFORMS.values()]
    bare = [
        f"{s.__name__}.{n}" for s in schemas for n, item in settings_of(s).items() if not item.doc
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("name", "target", "kind", "rows", "first"),
    [
        ("adult.csv", "income", "classes", 32561, ("<=50K", ">50K")),
        ("housing.csv", "median_house_value", "numbers", 20640, ()),
    ],
)
def test_real_tables(
    name: str, target: str, kind: Any, rows: int, first: tuple[str, ...], read_data: ReadData
) -> None:
    if not (REAL / name).exists():
        pytest.skip(f"{name} is not beside the project")
    made = prepare(read_data(source="csv", path=str(REAL / name), target=target), kind, 0)
    assert sum(map(len, _parts(made))) == rows
    assert made.pipeline.target.classes == first
    assert {note.partition(":")[0] for note in made.notes} == {"robust", "one_hot"}
    assert all(torch.isfinite(part.x).all() for part in _parts(made))
