"""`ftune predict`: predictions for new rows, or text from a language model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftune.commands.tables import STREAM, WRITERS, check_target, incoming, write_file, write_out
from ftune.console import Console
from ftune.errors import RequestError
from ftune.predictor import Sampling, restore
from ftune.runs.base import Base


def predict(
    base: Base,
    source: str | Path | None,
    target: str | Path | None,
    prompt: str | None,
    sampling: Sampling,
    console: Console,
    keep: Sequence[str] = (),
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Continues `prompt`, or writes one row of predictions for each row of `source`.

    `-` stands for stdin and stdout. keep: columns of the input to write beside the predictions.
    skip_bad: images that cannot be read do not stop the others. Raises RequestError where the words
    given do not go together or with the model.
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
        raise RequestError(f"--input needs --output FILE: {', '.join(WRITERS)}; or - for stdout")
    check_target(str(target), lists=predictor.pipeline.target.kind == "tags")
    with incoming(str(source), predictor.config.data.source) as file:
        with console.progress("predicting", 1) as bar:
            columns = predictor.predict(file, sampling, bar.of, keep=keep, skip_bad=skip_bad)
        rows = _written(columns, file, str(target))
    for note in predictor.notes:
        console.say(f"note: {note}")
    console.say(f"{rows:,} predictions: {'stdout' if str(target) == STREAM else target}")
    return summary | {"rows": rows, "output": str(target), "notes": predictor.notes}


def _written(columns: dict[str, Any], source: Path, target: str) -> int:
    import pyarrow as pa

    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if target == STREAM:
        write_out(table, source)
    else:
        write_file(table, Path(target))
    return int(table.num_rows)
