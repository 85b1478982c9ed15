"""Whole numbers beyond 2**53 are counted by column, in every format."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from ftune.data.prepare import prepare
from ftune.data.schema import Data

ReadData = Callable[..., Data]
CASES = Path(__file__).resolve().parents[4] / "../shared/cases"
NEAR = [2**53 + i for i in range(20)]
LONG = [12345678901234567890000 + i for i in range(20)]


def write(folder: Path, source: str, ids: list[int]) -> str:
    y = [i % 2 for i in range(20)]
    x = [float(i * i % 7) for i in range(20)]
    file = folder / f"t.{source}"
    if source == "csv":
        rows = [f"{a},{b},{c}" for a, b, c in zip(ids, x, y, strict=True)]
        file.write_text("\n".join(["id,x,y", *rows]) + "\n")
    elif source == "jsonl":
        lines = zip(ids, x, y, strict=True)
        file.write_text("".join(f'{{"id": {a}, "x": {b}, "y": {c}}}\n' for a, b, c in lines))
    elif source == "npz":
        np.savez(file, id=np.array(ids), x=np.array(x), y=np.array(y))
    else:
        kind = pa.int64() if max(ids) < 2**63 else pa.decimal128(38, 0)
        whole = pa.array(ids if kind == pa.int64() else [Decimal(i) for i in ids], kind)
        parquet.write_table(pa.table({"id": whole, "x": x, "y": y}), file)
    return str(file)


def notes(read: ReadData, folder: Path, source: str, ids: list[int], **more: Any) -> list[str]:
    path = write(folder, source, ids)
    if source == "csv":  # else they are names
        more.setdefault("types", {"id": "number"})
    data = read(source=source, path=path, target="y", split={"val": 2, "test": 2}, **more)
    return [note for note in prepare(data, "numbers", 0).notes if note.startswith("column `id`")]


@pytest.mark.parametrize("source", ["csv", "jsonl", "parquet", "npz"])
def test_rounded_ids_are_counted(source: str, read_data: ReadData, tmp_path: Path) -> None:
    (note,) = notes(read_data, tmp_path, source, NEAR)
    merged = 20 - len({float(i) for i in NEAR})
    assert (
        f"10 of 20 distinct whole numbers are rounded, as they lie beyond 2**53 ({NEAR[1]}" in note
    )
    assert f"and {merged} can no longer be told from another" in note
    assert ("declare `types: {id: text}`" if source == "csv" else "as text") in note


@pytest.mark.parametrize("source", ["csv", "jsonl", "parquet"])
def test_ids_beyond_64_bits_too(source: str, read_data: ReadData, tmp_path: Path) -> None:
    (note,) = notes(read_data, tmp_path, source, LONG)
    assert "column `id`: 20 of 20" in note and "and 19 can no longer be told" in note


@pytest.mark.parametrize("source", ["csv", "jsonl", "parquet", "npz"])
def test_exact_numbers_are_no_fault(source: str, read_data: ReadData, tmp_path: Path) -> None:
    """The control: as large, but every one a float64; and small ones."""
    for ids in ([2**54 + 4 * i for i in range(20)], list(range(20))):
        assert notes(read_data, tmp_path, source, ids) == []


def test_columns_that_are_not_used_are_not_told_of(read_data: ReadData, tmp_path: Path) -> None:
    dropped = [{"drop": ["id"]}, "auto"]
    assert notes(read_data, tmp_path, "csv", NEAR, transforms=dropped) == []
    declared = notes(read_data, tmp_path, "csv", NEAR, types={"id": "text"})
    assert declared == []
    large = tmp_path / "f.csv"
    large.write_text("x,y\n" + "".join(f"{i}e20,{i}\n" for i in range(1, 21)))
    data = read_data(source="csv", path=str(large), target="y")
    assert not [n for n in prepare(data, "numbers", 0).notes if "whole numbers" in n]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("07-huge-ints/t", ["column `width`: read as text", "left out", "`width` (56 categories)"]),
        ("07-huge-ints/u", ["column `width`: read as text", "left out", "`width` (56 categories)"]),
        ("81-constant-nanoseconds/t", ["column `exported`: read", "left out", "`exported`"]),
    ],
)
def test_the_cases(name: str, said: list[str], read_data: ReadData) -> None:
    file = CASES / f"{name}.csv"
    if not file.exists():
        pytest.skip(f"{name} is not beside the project")
    made = prepare(read_data(source="csv", path=str(file), target="kind"), "classes", 0)
    notes = " ".join(made.notes)
    assert all(words in notes for words in said), notes
    names = made.pipeline.features.names or ()
    assert not [n for n in names if n.startswith(("width", "exported"))]


@pytest.mark.parametrize("source", ["csv", "jsonl"])
@pytest.mark.parametrize("digits", [400, 5000])
def test_numbers_that_are_read_as_infinite_are_no_fault_here(
    source: str, digits: int, read_data: ReadData, tmp_path: Path
) -> None:
    """Where the column is used they are refused; the others are counted as ever."""
    near = "\n".join(str(n) for n in NEAR)
    file = tmp_path / f"t.{source}"
    rows = [*near.splitlines(), "1" + "0" * (digits - 1)]
    lines = [f"{n},1" if source == "csv" else f'{{"id": {n}, "y": 1}}' for n in rows]
    file.write_text("\n".join([*(["id,y"] if source == "csv" else []), *lines]) + "\n")
    (frame,) = read_data(source=source, path=str(file), target="y").source.load().values()
    if frame.kind("id") == "number":
        assert "10 of " in frame.notes["id"] and np.isinf(frame["id"][-1])


def test_a_long_number_is_told_by_its_size(read_data: ReadData, tmp_path: Path) -> None:
    (note,) = notes(read_data, tmp_path, "csv", [10**300] * 20)
    assert note == (
        "column `id`: 1 of 1 distinct whole numbers is rounded, as it lies beyond 2**53"
        " (1.000e+300); if they are names, declare `types: {id: text}`."
    )
