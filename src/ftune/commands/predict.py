"""`ftune predict`: predictions for new rows, transforms included."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.predictor import restore
from ftune.runs.base import Base

if TYPE_CHECKING:
    import pyarrow as pa


def predict(base: Base, source: Path, target: Path, console: Console) -> dict[str, Any]:
    """Writes one row of predictions for each row of `source`, in its order."""
    writer = WRITERS.get(target.suffix)
    if writer is None:
        raise RequestError(f"--output {target}: expected {', '.join(WRITERS)}")
    import pyarrow as pa

    columns = restore(base).predict(source)
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        writer(table, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RunFailedError(f"cannot write {target}: {error.strerror or error}") from None
    console.say(f"{table.num_rows:,} predictions: {target}")
    return {"command": "predict", "status": "done", "run": str(base.source), "rows": table.num_rows,
            "output": str(target)}  # fmt: skip


def _csv(table: pa.Table, path: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, path)


def _parquet(table: pa.Table, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, path)


def _jsonl(table: pa.Table, path: Path) -> None:
    import json

    with path.open("w", encoding="utf-8") as file:
        for row in table.to_pylist():
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}
