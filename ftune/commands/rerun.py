"""`ftune rerun`: runs a run again, and says "identical" or the first field that differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ftune.build import base_pipeline, build, read_data
from ftune.commands.lr_find import lr_find
from ftune.commands.sweep import sweep
from ftune.console import Console
from ftune.data.dataset import Dataset
from ftune.errors import FtuneError, InterruptedRunError, RequestError
from ftune.extend.forgotten import needing
from ftune.insight.same import INPUTS, Difference, causes, results
from ftune.runs import checkpoint
from ftune.runs.adapters import load_bases
from ftune.runs.base import Base
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.search.failures import failure_pattern
from ftune.training.facts import gathered
from ftune.training.run import new_run
from ftune.training.train import train

COMMANDS = ("optimize", "finetune", "lr-find", "sweep")


def rerun(
    folder: RunFolder, out: Path | None, console: Console, moved: Sequence[str] = ()
) -> dict[str, Any]:
    """Trains again from config.yaml, with the base, threads and seed of the run.

    Data, base or code that are no longer the same end it before anything is trained. An
    interrupted run is compared up to its last checkpoint. Raises RequestError where data or base
    are gone. moved: overrides that say where its data lies now.
    """
    if odd := [change for change in moved if not change.startswith("data.path=")]:
        raise RequestError(f"`{odd[0]}`: a run is run again as it was; only data.path may move")
    facts = folder.facts()
    if facts["status"] == "running" or facts["command"] not in COMMANDS:
        what = f"{facts['command']}, {facts['status']}"
        raise RequestError(f"{folder.path}: {what}; what has ended can be run again")
    if "parent" in facts:
        raise RequestError(
            f"{folder.path} goes on from step {facts['parent_step']:,} of {facts['parent']}; run "
            "that one again, and prolong it"
        )
    config, base, dataset = _inputs(folder, facts, moved)
    now = gathered(config, dataset)
    of_trials = ["data", "raw_targets"] if facts["command"] == "sweep" else []
    later = ("threads", "determinism", *of_trials)
    found = causes(facts, {key: value for key, value in now.items() if key not in later})
    if any(one.field.partition(".")[0] in INPUTS for one in found):
        return _said(folder, None, found, "not run: it would not start from the same", console)
    until = _until(folder, facts)
    target = RunFolder(RunFolder.place(facts["command"], "rerun", out, config.runs_folder))
    failed = _again(facts["command"], config, base, dataset, target, until, console)
    differing = _differing(folder, facts, target, failed, until)
    return _said(folder, target, differing, _how(facts, until), console)


def _inputs(
    folder: RunFolder, facts: Mapping[str, Any], moved: Sequence[str]
) -> tuple[RunConfig, Base | None, Dataset]:
    try:
        with needing(facts.get("code"), "it"):
            config = LANGUAGE.load(folder.config_file, moved)
        if config.runtime.threads == "auto" and facts.get("threads"):
            config = replace(config, runtime=replace(config.runtime, threads=facts["threads"]))
        base = load_bases(config.base) if config.base else None
        return config, base, read_data(config, prior=base_pipeline(base))
    except FtuneError as error:
        raise RequestError(f"{folder.path} cannot be run again: {error}") from None


def _until(folder: RunFolder, facts: Mapping[str, Any]) -> int | None:
    """The last step that an interrupted training has saved."""
    if facts["status"] not in ("interrupted", "paused") or facts["command"] == "sweep":
        return None
    latest = checkpoint.pointed(folder.checkpoints, "latest")
    if latest is None:
        raise RequestError(f"{folder.path}: interrupted before it saved anything to compare with")
    return int(latest.name.rpartition("-")[2])


def _how(facts: Mapping[str, Any], until: int | None) -> str:
    if until is not None:
        return f"compared up to step {until:,}, where the run stopped"
    unfinished = facts["command"] == "sweep" and facts["status"] == "interrupted"
    return "compared are the trials that the sweep had finished" if unfinished else ""


def _again(
    command: str, config: RunConfig, base: Base | None, dataset: Dataset, target: RunFolder,
    until: int | None, console: Console,
) -> str:  # fmt: skip
    """Runs it into `target`; the reason where it fails, which may be what it did before."""
    try:
        if command == "sweep":
            sweep(config, base, "", target.path, False, console)
        elif command == "lr-find":
            lr_find(config, base, "", target.path, console)
        else:
            run = new_run(command, "", target.path, build(config, dataset, base), console)
            run.pause_at = until
            train(run)
    except InterruptedRunError:
        raise
    except FtuneError as error:
        if not (target.path / "run.json").exists():
            raise
        return str(error)
    return ""


def _differing(
    folder: RunFolder, facts: Mapping[str, Any], target: RunFolder, failed: str, until: int | None
) -> list[Difference]:
    """What differs, the first first: causes, how it ended, then the first of the results."""
    again = target.facts()
    found = causes(facts, again)
    was = str(facts.get("reason") or "").replace(str(folder.path), "RUN")
    now = str(again.get("reason") or failed).replace(str(target.path), "RUN")
    if facts["status"] != "interrupted" and failure_pattern(was) != failure_pattern(now):
        found.append(Difference("reason", was or None, now or None))
    return [*found, *islice(_results(folder, facts, target, until), 1)]


def _results(
    folder: RunFolder, facts: Mapping[str, Any], target: RunFolder, until: int | None
) -> Iterator[Difference]:
    """Of an interrupted sweep, only the trials that it finished."""
    if facts["command"] == "sweep" and facts["status"] == "interrupted":
        for file in sorted((folder.path / "trials").glob("*/run.json")):
            one = RunFolder(file.parent)
            if one.facts()["status"] == "done":
                yield from results(one, RunFolder(target.path / "trials" / one.path.name))
        return
    yield from results(folder, target, until)


def _said(
    folder: RunFolder, target: RunFolder | None, found: list[Difference], how: str, console: Console
) -> dict[str, Any]:
    """The last sentences, and the summary."""
    for number, one in enumerate(found):
        console.say(f"differs: {one}" if number == 0 else f"         {one}")
    where = f"; run: {target.path}" if target else ""
    verdict = "identical" if not found else "not identical"
    console.say(f"{verdict}{f' ({how})' if how else ''}: {folder.path}{where}")
    return {
        "command": "rerun",
        "status": "done",
        "run": str(target.path) if target else None,
        "of": str(folder.path),
        "identical": not found,
        "difference": found[0].to_json() if found else None,
        "differences": [one.to_json() for one in found],
        "compared": how or "the whole run",
    }
