"""`ftune check --data` finds each fault of a data file, and nothing in the good one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from ftune.data.kind import TargetKind
from ftune.data.prepare import prepare
from ftune.data.validation.validate import FileReport, validate
from ftune.errors import DataError
from ftune.schema.root import LANGUAGE

ReadData = Callable[..., Any]
Write = Callable[[str, str | bytes], str]
ROWS = [[str(i), "xyz"[i % 3], "ab"[i % 2]] for i in range(60)]


def csv(changes: dict[tuple[int, int], str] | None = None, header: str = "age,city,y") -> str:
    """60 rows; changes: {(row from 1, column): value}."""
    rows = [list(row) for row in ROWS]
    for (row, column), value in (changes or {}).items():
        rows[row - 1][column] = value
    return "\n".join([header, *(",".join(row) for row in rows), ""])


def every(column: int, value: str) -> dict[tuple[int, int], str]:
    return {(row, column): value for row in range(1, 61)}


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


GOOD_JSON = [{"q": f"what {i}", "a": f"that {i}", "n": i} for i in range(40)]
LATIN = csv({(7, 1): "é", (9, 1): "ü"}).encode("latin-1")

CASES: dict[str, tuple[str | bytes, dict[str, Any], list[str]]] = {
    "no such target": (csv(), {"target": "yy"}, ["data.target: no column `yy`", "mean `y`"]),
    "no such group": (csv(), {"split": {"group": "cty"}}, ["data.split.group", "`city`"]),
    "no such column of a transform": (
        csv(), {"transforms": [{"log": {"columns": ["agee"]}}]},
        ["data.transforms: no column `agee`", "`age`"]),
    "types of no column": (csv(), {"types": {"agee": "text"}}, ["`agee`", "`age`"]),
    "ragged rows": (
        csv({(r, 2): "a,b" for r in (2, 5, 8, 9, 10, 50)}), {},
        ["6 rows (2, 5, 8, 9, 10, …)", "3 columns", "4: `1,y,a,b`"]),
    "not utf-8": (LATIN, {}, ["`city`, 2 rows (7, 9)", "not UTF-8"]),
    "ragged rows of which one is not utf-8": (
        csv({(3, 2): "a,b", (7, 2): "é,b"}).encode("latin-1"), {}, ["2 rows (3, 7) with another"]),
    "header not utf-8": (csv(header="é,city,y").encode("latin-1"), {}, ["the header is not UTF-8"]),
    "unknown encoding": (csv(), {"encoding": "utf-99"}, ["`utf-99`"]),
    "empty file": ("", {}, ["is empty"]),
    "blank file": ("\n\n", {}, ["is empty"]),
    "only a header": ("age,city,y\n", {}, ["header (age, city, y) but no rows"]),
    "header twice": (
        csv({(30, 0): "age", (30, 1): "city", (30, 2): "y"}), {},
        ["header stands again in row 30"]),
    "doubled name": (csv(header="age,age,y"), {}, ["`age` names more than one column"]),
    "wrong delimiter": (csv().replace(",", ";"), {}, ['write `delimiter: ";"`']),
    "a parquet file": (b"PAR1\0\0", {}, ["not a text file"]),
    "empty targets": (
        csv({(r, 2): "" for r in (3, 9, 11, 20, 30, 31)}), {},
        ["target `y` is missing in 6 rows (3, 9, 11, 20, 30, …)"]),
    "nan targets": (csv({(4, 2): "NaN"}), {}, ["target `y` is missing in row 4"]),
    "text among numbers": (
        csv({(12, 0): "old", (40, 0): "1o"}), {},
        ["`age` is 96.7% numbers", "row 12: 'old', row 40: '1o'"]),
    "not of its type": (
        csv({(12, 0): "old"}), {"types": {"age": "number"}}, ["`age` holds 'old' in row 12"]),
    "no date": (
        csv(every(0, "2024-01-05") | {(8, 0): "soon"}), {"types": {"age": "date"}},
        ["`age` holds 'soon' in row 8"]),
    "one class": (csv(every(2, "a")), {}, ["only one class, `a`"]),
    "class of one row": (
        csv({(7, 2): "c"}), {"split": {"stratify": True}}, ["stratify", "`c` has only 1 row"]),
    "class that no row has": (csv(), {"classes": ["a", "c"]}, ["`c`, which no row has"]),
    "empty group": (
        csv({(5, 1): ""}), {"split": {"group": "city"}}, ["data.split.group", "row 5"]),
}  # fmt: skip


def found(data: Any, kind: TargetKind = "classes") -> str:
    with pytest.raises(DataError) as caught:
        validate(data, kind)
    return str(caught.value)


@pytest.mark.parametrize("case", CASES)
def test_a_csv_file(case: str, read_data: ReadData, write: Write) -> None:
    content, settings, expected = CASES[case]
    data = read_data(source="csv", path=write("t.csv", content), **{"target": "y"} | settings)
    said = found(data)
    assert [text for text in expected if text not in said] == [], said
    assert "t.csv" in said


def test_the_good_csv_file(read_data: ReadData, write: Write) -> None:
    """The control, with every setting that the cases break."""
    settings: list[dict[str, Any]] = [
        {}, {"split": {"stratify": True}}, {"split": {"group": "city"}}, {"classes": ["b", "a"]},
        {"types": {"age": "number"}}, {"transforms": [{"log": {"columns": ["age"]}}]},
    ]  # fmt: skip
    for one in settings:
        data = read_data(source="csv", path=write("t.csv", csv()), target="y", **one)
        (told,) = validate(data, "classes")
        assert (told.rows, told.columns, told.size) == (60, 3, len(csv()))
        assert "60 rows, 3 columns" in str(told)


def test_arrow_is_silent_and_nothing_is_said_twice(
    read_data: ReadData, write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    content = CASES["ragged rows of which one is not utf-8"][0]
    said = found(read_data(source="csv", path=write("t.csv", content), target="y"))
    assert said.count("another number of values") == 1
    assert capfd.readouterr().err == ""


def test_all_faults_at_once_with_the_rows_as_they_stand_in_the_file(
    read_data: ReadData, write: Write
) -> None:
    """A ragged row is left out of the blocks, but it still counts."""
    broken = csv({(3, 2): "a,b", (20, 2): "", (30, 0): "old"})
    said = found(read_data(source="csv", path=write("t.csv", broken), target="y"))
    assert said.startswith("3 faults in the data\n  ")
    for part in ("row 3 with another number", "missing in row 20", "row 30: 'old'"):
        assert part in said


def test_rows_of_a_file_without_header_in_several_blocks(read_data: ReadData, write: Write) -> None:
    lines = [f"{i},a text of some length {i},{'ab'[i % 2]}" for i in range(1, 90_001)]
    lines[88_887], lines[69_999] = "88888,x,", "one"
    data = read_data(
        source="csv", path=write("t.csv", "\n".join(lines)), target="y", header=["n", "t", "y"]
    )
    said = found(data)
    assert "row 70000 with another number" in said
    assert "missing in row 88888" in said


def test_files_of_other_columns(read_data: ReadData, write: Write) -> None:
    paths = {"train": write("a.csv", csv()), "val": write("b.csv", csv(header="age,town,y"))}
    paths["test"] = write("c.csv", "")
    said = found(read_data(source="csv", path=paths, target="y"))
    assert "b.csv: lacks `city`" in said
    assert "`town` instead" in said
    assert "c.csv: the file is empty" in said
    paths["val"] = paths["test"] = paths["train"]
    assert len(validate(read_data(source="csv", path=paths, target="y"), "classes")) == 3


@pytest.mark.parametrize(
    ("train", "val", "unknown"),
    [
        (csv(), csv({(21, 2): "c", (40, 2): "d"}), "unknown class `c`, `d` in 2 rows (21, 40)"),
        (csv(), csv({(21, 2): "c"}), "unknown class `c` in row 21; known: `a`, `b`. Keep only"),
        (csv(every(2, "1") | {(1, 2): "2"}), csv(every(2, "3")), "unknown class `3` in 60 rows"),
        (csv(every(2, "1") | {(1, 2): "2"}), csv(every(2, "1.0")), ""),
        (csv({(21, 2): "c"}), csv(), ""),
        (csv(), csv(), ""),
    ],
)
def test_a_class_of_another_file_only(
    train: str, val: str, unknown: str, read_data: ReadData, write: Write
) -> None:
    """What `check --data` says of it is what training says."""
    paths = {"train": write("a.csv", train), "val": write("b.csv", val)}
    data = read_data(source="csv", path=paths, target="y")
    if not unknown:
        assert len(validate(data, "classes")) == 2
        prepare(data, "classes", 0)
        return
    with pytest.raises(DataError) as caught:
        prepare(data, "classes", 0)
    assert found(data) == str(caught.value)
    assert unknown in found(data) and "b.csv" in found(data)


def test_classes_that_are_not_chosen_may_be_anywhere(read_data: ReadData, write: Write) -> None:
    paths = {"train": write("a.csv", csv()), "val": write("b.csv", csv({(21, 2): "c"}))}
    data = read_data(source="csv", path=paths, target="y", classes=["a", "b"])
    assert len(validate(data, "classes")) == 2
    assert prepare(data, "classes", 0).val is not None


def test_the_case_of_a_class_in_the_validation_file_only() -> None:
    folder = Path(__file__).resolve().parents[3] / "../shared/cases/34-class-only-in-val"
    if not folder.is_dir():
        pytest.skip("needs ../shared/cases")
    data = LANGUAGE.load(folder / "t.yaml").data
    assert "unknown class `c` in row 21" in found(data)


def test_texts_where_numbers_are_predicted(read_data: ReadData, write: Write) -> None:
    path = write("t.csv", csv())
    assert "`city` holds texts" in found(
        read_data(source="csv", path=path, target="city"), "numbers"
    )
    assert validate(read_data(source="csv", path=path, target="age"), "numbers")


ASKS = {"prompt": "Q: {q}", "response": "a"}
LINES: dict[str, tuple[str | bytes, list[str]]] = {
    "not utf-8": (
        jsonl(GOOD_JSON).encode() + b'{"q": "\xff", "a": "b", "n": 1}\n', ["row 41: not UTF-8"]),
    "no json": (jsonl(GOOD_JSON[:5]) + "no\n" + jsonl(GOOD_JSON), ["row 6: not a JSON object"]),
    "several types": (
        jsonl([*GOOD_JSON, {"q": "a", "a": "b", "n": "c"}]), ["`n`", "text in row 41"]),
    "empty response": (
        jsonl([*GOOD_JSON, {"q": "a", "a": None, "n": 1}, {"q": "a", "n": 1}]),
        ["data.response: column `a` is missing in 2 rows (41, 42)"]),
    "blank response": (
        jsonl([*GOOD_JSON, {"q": "a", "a": " ", "n": 1}]),
        ["data.response: the text is blank in row 41"]),
    "no such column": (
        jsonl([{"question": "a", "a": "b"}]), ["data.prompt: no column `q`"]),
    "both": (
        jsonl([*GOOD_JSON, {"q": None, "a": "b", "n": 1}]) + "{\n",
        ["2 faults", "row 42: not a JSON object", "data.prompt: column `q` is missing in row 41"]),
}  # fmt: skip


@pytest.mark.parametrize("case", LINES)
def test_json_lines(case: str, read_data: ReadData, write: Write) -> None:
    content, expected = LINES[case]
    said = found(read_data(source="jsonl", path=write("t.jsonl", content), **ASKS), "tokens")
    assert [text for text in expected if text not in said] == [], said


@pytest.mark.parametrize("count", [40, 200_000])
def test_good_json_lines(count: int, read_data: ReadData, write: Write) -> None:
    content = jsonl([GOOD_JSON[i % 40] for i in range(count)])
    (told,) = validate(read_data(source="jsonl", path=write("t.jsonl", content), **ASKS), "tokens")
    assert (told.rows, told.columns) == (count, 3)


def test_parquet(read_data: ReadData, tmp_path: Path) -> None:
    file, y = tmp_path / "t.parquet", [float(i % 3) for i in range(50_000)]
    data = read_data(source="parquet", path=str(file), target="y")
    parquet.write_table(pa.table({"x": y, "y": y}), file, row_group_size=20_000)
    assert validate(data, "classes")[0].rows == 50_000
    parquet.write_table(pa.table({"x": y, "y": [*y[:-1], float("nan")]}), file)
    assert "target `y` is missing in row 50000" in found(data)
    parquet.write_table(pa.table({"x": y, "y": [1.0] * 50_000}), file)
    assert "only one class, `1`" in found(data)
    file.write_bytes(file.read_bytes()[:-20])
    assert "not a readable Parquet" in found(data)


def test_a_table_of_images(read_data: ReadData, write: Write, tmp_path: Path) -> None:
    for name in "ab":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    write("odd.png", b"no image")
    good = ["a.png,1", "b.png,2"] * 5
    bad = [*good, "c.png,1", "odd.png,2", ",1"]
    settings = {"source": "csv", "image": "path", "target": "y"}
    data = read_data(path=write("bad.csv", "\n".join(["path,y", *bad])), **settings)
    said = found(data)
    assert "2 of 13 images cannot be used (row 11, c.png: no such file; row 12, odd.png" in said
    assert "no path in row 13" in said
    data = read_data(path=write("good.csv", "\n".join(["path,y", *good])), **settings)
    assert validate(data, "classes")[0].rows == 10


def test_a_folder_of_images(read_data: ReadData, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "1.png")
    data = read_data(source="images", path=str(tmp_path))
    (told,) = validate(data, "classes")
    assert (told.rows, told.note) == (2, "")
    (tmp_path / "b" / "2.png").write_bytes(b"")
    assert "1 of 3 images cannot be used (b/2.png: the file is empty)" in found(data)


def test_plain_text(read_data: ReadData, write: Write) -> None:
    def told(content: str | bytes) -> Any:
        return read_data(source="text", path=write("t.txt", content))

    assert validate(told("one\ntwo\n"), "tokens")[0].rows == 2
    assert "byte 5 (0xff) in line 2" in found(told(b"one\nt\xff\n"), "tokens")
    assert "only spaces" in found(told(" \n\n"), "tokens")
    assert "not a text file" in found(told(b"a\0"), "tokens")


def test_other_sources_say_that_they_are_read_whole(read_data: ReadData) -> None:
    (told,) = validate(read_data(source="sklearn", name="iris"), "classes")
    assert str(told).endswith("(its source is read whole)")


COMMAND = "import sys; from ftune.cli import main\ntry: main()\nfinally: print(*sys.modules)"


def test_the_command_loads_torch_only_to_build(write: Write, tmp_path: Path) -> None:
    text = f"task: classification\nmodel: mlp\ndata: {{source: csv, path: {write('t.csv', csv())}, "
    (tmp_path / "c.yaml").write_text(text + "target: y}\n")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", COMMAND, "check", "c.yaml", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = run("--data", "--json")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert json.loads(lines[-2])["data"][0]["rows"] == 60
    assert "torch" in lines[-1].split(), "control: what the command would begin with is built"
    write("t.csv", csv({(3, 2): ""}))
    done = run("--data")
    assert done.returncode == 2
    assert "missing in row 3" in done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert "pyarrow" in loaded and "torch" not in loaded, "faults of the files come before"
    plain = run()
    assert plain.returncode == 0  # without --data no file is read
    assert "pyarrow" not in plain.stdout.split() and "torch" not in plain.stdout.split()


def test_every_kind_of_target_is_looked_at(read_data: ReadData, write: Write) -> None:
    for kind in get_args(TargetKind):
        data = read_data(source="csv", path=write("t.csv", csv()), target="age", text="city")
        if kind == "labels":  # ages are none
            with pytest.raises(DataError, match="the label `age` is `2`"):
                validate(data, kind)
        else:
            assert isinstance(validate(data, kind)[0], FileReport)
