"""`ftune rerun`: runs a run again, and says "identical" or the first field that differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ftune.assembly.build import base_pipeline, read_data
from ftune.commands.dispatch import COMMANDS
from ftune.commands.request import Request
from ftune.console import Console
from ftune.errors import FtuneError, InterruptedRunError, RequestError
from ftune.extend.forgotten import needing
from ftune.report.run_diff import INPUTS, Difference, causes, results
from ftune.runs import checkpoint
from ftune.runs.adapters import load_bases
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import RunRecord
from ftune.schema.root import LANGUAGE
from ftune.search.failures import failure_pattern
from ftune.training.provenance import gathered


def rerun(
    folder: RunFolder, out: Path | None, console: Console, moved: Sequence[str] = ()
) -> dict[str, Any]:
    """Run again by config.yaml, with the base, threads and seed of the run; return the verdict.

    Nothing is trained where data, base or code are no longer the same. An interrupted run is
    compared up to its last checkpoint. moved: overrides that say where its data lies now.
    Raises RequestError where data or base are gone.
    """
    if odd := [change for change in moved if not change.startswith("data.path=")]:
        raise RequestError(f"`{odd[0]}`: a run is run again as it was; only data.path may move")
    record, facts = folder.record, folder.facts()
    if record.status == "running" or record.command not in COMMANDS:
        what = f"{record.command}, {record.status}"
        raise RequestError(f"{folder.path}: {what}; what has ended can be run again")
    if record.parent is not None:
        raise RequestError(
            f"{folder.path} goes on from step {record.parent_step or 0:,} of {record.parent}; run "
            "that one again, and prolong it"
        )
    request = _request(folder, record, moved, console)
    assert request.dataset is not None
    current = gathered(request.config, request.dataset)
    of_trials = ["data", "raw_targets"] if _is_sweep(record) else []
    later = ("threads", "determinism", *of_trials)
    changed = causes(facts, {key: value for key, value in current.items() if key not in later})
    if any(change.field.partition(".")[0] in INPUTS for change in changed):
        return _report(folder, None, changed, "not run: it would not start from the same", console)
    command = record.command
    target = RunFolder(RunFolder.place(command, "rerun", out, request.config.runs_folder))
    until = _last_step(folder, record)
    failure = _run(command, replace(request, out=target.path, pause_at=until))
    differing = _differing(folder, record, facts, target, failure, until)
    return _report(folder, target, differing, _extent(record, until), console)


def _is_sweep(record: RunRecord) -> bool:
    return COMMANDS[record.command].kind == "sweep"


def _request(
    folder: RunFolder, record: RunRecord, moved: Sequence[str], console: Console
) -> Request:
    """Return the same run to make, with its base and data. Raises RequestError without them."""
    try:
        with needing(record.code, "it"):
            config = LANGUAGE.load(folder.config_file, moved)
        if config.runtime.threads == "auto" and record.threads:
            config = replace(config, runtime=replace(config.runtime, threads=record.threads))
        base = load_bases(config.base) if config.base else None
        dataset = read_data(config, prior=base_pipeline(base))
    except FtuneError as error:
        raise RequestError(f"{folder.path} cannot be run again: {error}") from None
    return Request(config, "", None, console, base, dataset)


def _last_step(folder: RunFolder, record: RunRecord) -> int | None:
    """Return the last step that an interrupted training has saved; None for other runs."""
    if record.status not in ("interrupted", "paused") or _is_sweep(record):
        return None
    latest = checkpoint.pointed(folder.checkpoints, "latest")
    if latest is None:
        raise RequestError(f"{folder.path}: interrupted before it saved anything to compare with")
    return int(latest.name.rpartition("-")[2])


def _extent(record: RunRecord, until: int | None) -> str:
    """Return what of the run is compared; empty for all of it."""
    if until is not None:
        return f"compared up to step {until:,}, where the run stopped"
    unfinished = _is_sweep(record) and record.status == "interrupted"
    return "compared are the trials that the sweep had finished" if unfinished else ""


def _run(command: str, request: Request) -> str:
    """Make the run; return the reason where it fails, as the run before may have too."""
    try:
        COMMANDS[command].run(request)
    except InterruptedRunError:
        raise
    except FtuneError as error:
        if request.out is None or not (request.out / "run.json").exists():
            raise
        return str(error)
    return ""


def _differing(
    folder: RunFolder, record: RunRecord, facts: Mapping[str, Any], target: RunFolder,
    failure: str, until: int | None,
) -> list[Difference]:  # fmt: skip
    """Return what differs, in this order: causes, how it ended, then the first of the results."""
    differences = causes(facts, target.facts())
    was = record.reason.replace(str(folder.path), "RUN")
    now = (target.record.reason or failure).replace(str(target.path), "RUN")
    if record.status != "interrupted" and failure_pattern(was) != failure_pattern(now):
        differences.append(Difference("reason", was or None, now or None))
    return [*differences, *islice(_results(folder, record, target, until), 1)]


def _results(
    folder: RunFolder, record: RunRecord, target: RunFolder, until: int | None
) -> Iterator[Difference]:
    """Yield the results that differ; of an interrupted sweep, those of the finished trials."""
    if _is_sweep(record) and record.status == "interrupted":
        for file in sorted((folder.path / "trials").glob("*/run.json")):
            trial = RunFolder(file.parent)
            if trial.record.status == "done":
                yield from results(trial, RunFolder(target.path / "trials" / trial.path.name))
        return
    yield from results(folder, target, until)


def _report(
    folder: RunFolder, target: RunFolder | None, differences: list[Difference], extent: str,
    console: Console,
) -> dict[str, Any]:  # fmt: skip
    """Print the verdict and return the summary."""
    for number, difference in enumerate(differences):
        console.info(f"differs: {difference}" if number == 0 else f"         {difference}")
    where = f"; run: {target.path}" if target else ""
    verdict = "not identical" if differences else "identical"
    console.info(f"{verdict}{f' ({extent})' if extent else ''}: {folder.path}{where}")
    return {
        "command": "rerun",
        "status": "done",
        "run": str(target.path) if target else None,
        "of": str(folder.path),
        "identical": not differences,
        "difference": differences[0].to_json() if differences else None,
        "differences": [difference.to_json() for difference in differences],
        "compared": extent or "the whole run",
    }
