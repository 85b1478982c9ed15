"""`ftune predict`: predictions for new rows, or text from a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.console import Console
from ftune.errors import RequestError, RunFailedError
from ftune.predictor import Predictor, Sampling, Told, restore
from ftune.runs.base import Base
from ftune.runs.files import temporary

if TYPE_CHECKING:
    import pyarrow as pa


def predict(
    base: Base,
    source: Path | None,
    target: Path | None,
    prompt: str | None,
    sampling: Sampling,
    console: Console,
) -> dict[str, Any]:
    """Continues `prompt`, or writes one row of predictions for each row of `source`.

    Raises RequestError where the words given do not go together or with the model.
    """
    if (prompt is None) == (source is None):
        raise RequestError("predict needs --input FILE with --output FILE, or --prompt TEXT")
    predictor = restore(base)
    summary = {"command": "predict", "status": "done", "run": str(base.source)}
    if prompt is not None:
        text = predictor.generate([prompt], sampling)[0]
        console.answer(text)
        return summary | {"prompt": prompt, "response": text}
    if target is None:
        raise RequestError("--input needs --output FILE: .csv, .parquet or .jsonl")
    assert source is not None
    with console.progress("predicting", 1) as bar:
        rows = _to_file(predictor, source, target, sampling, bar.of)
    console.say(f"{rows:,} predictions: {target}")
    return summary | {"rows": rows, "output": str(target)}


def _check(target: Path, lists: bool) -> None:
    """Before anything is predicted. Raises RequestError."""
    if target.suffix not in WRITERS:
        raise RequestError(f"--output {target}: expected {', '.join(WRITERS)}")
    if target.suffix == ".csv" and lists:
        raise RequestError(f"--output {target}: a csv holds no lists; write .jsonl or .parquet")
    if not target.absolute().parent.is_dir():
        raise RequestError(f"--output {target}: there is no folder {target.parent}")


def _to_file(
    predictor: Predictor, source: Path, target: Path, sampling: Sampling, told: Told
) -> int:
    _check(target, lists=predictor.pipeline.target.kind == "tags")
    import pyarrow as pa

    columns = predictor.predict(source, sampling, told)
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    beside = temporary(target)
    try:
        WRITERS[target.suffix](table, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RunFailedError(f"cannot write {target}: {error.strerror or error}") from None
    return int(table.num_rows)


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
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


WRITERS: Mapping[str, Callable[[Any, Path], None]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}
