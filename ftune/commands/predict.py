"""`ftune predict`: predictions for new rows, or text from a language model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ftune.commands.tables import STREAM, WRITERS, check_target, incoming, write_file, write_out
from ftune.config.fields import settings_with
from ftune.console import Console
from ftune.errors import DataError, RequestError
from ftune.predictor import Sampling, restore
from ftune.runs.base import Base
from ftune.schema.root import RunConfig

LAYOUT = tuple(sorted(settings_with(RunConfig, "layout")))
"""Settings of a file's format: new rows may be written in another than the training's."""


def predict(
    base: Base,
    source: str | Path | None,
    target: str | Path | None,
    prompt: str | None,
    sampling: Sampling,
    console: Console,
    keep: Sequence[str] = (),
    skip_bad: bool = False,
    changes: Sequence[str] = (),
) -> dict[str, Any]:
    """Continue `prompt`, or write one row of predictions for each row of `source`.

    `-` stands for stdin and stdout. keep: columns of the input to write beside the predictions.
    skip_bad: images that cannot be read do not stop the others. changes: how the input is written.
    Raises RequestError where the words given do not go together or with the model.
    """
    if (prompt is None) == (source is None):
        raise RequestError("predict needs --input FILE with --output FILE, or --prompt TEXT")
    check_settings(changes, "predict", *LAYOUT)
    predictor = restore(base, changes)
    summary = {"command": "predict", "status": "done", "run": str(base.source)}
    if prompt is not None:
        text = predictor.generate([prompt], sampling)[0]
        console.print(text)
        return summary | {"prompt": prompt, "response": text}
    if target is None:
        raise RequestError(f"--input needs --output FILE: {', '.join(WRITERS)}; or - for stdout")
    check_target(str(target), lists=predictor.pipeline.target.kind == "tags")
    with incoming(str(source), predictor.config.data.source) as file:
        with console.progress("predicting", 1) as bar, advised():
            columns = predictor.predict(file, sampling, bar.of, keep=keep, skip_bad=skip_bad)
        rows = _write(columns, file, str(target))
    for note in predictor.notes:
        console.info(f"note: {note}")
    console.info(f"{rows:,} predictions: {'stdout' if str(target) == STREAM else target}")
    return summary | {"rows": rows, "output": str(target), "notes": predictor.notes}


def check_settings(changes: Sequence[str], command: str, *accepted: str) -> None:
    """Raise RequestError for other settings than those that a command takes."""
    for change in changes:
        if not change.removeprefix("~").startswith(accepted):
            raise RequestError(f"`{change}`: {command} takes {', '.join(accepted)}")


@contextmanager
def advised() -> Iterator[None]:
    """Add to a DataError how the settings that it names are given on the command line."""
    try:
        yield
    except DataError as error:
        named = [key for key in LAYOUT if f"`{key.removeprefix('data.')}" in str(error)]
        if not named:
            raise
        example = f"`{named[0]}=…`"
        raise DataError(f"{error}. Settings are given with the command: {example}") from None


def _write(columns: dict[str, Any], source: Path, target: str) -> int:
    import pyarrow as pa

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if target == STREAM:
        write_out(table, source)
    else:
        write_file(table, Path(target))
    return int(table.num_rows)
