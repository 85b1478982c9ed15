"""`ftune resume`: continues an interrupted run or sweep exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftune.commands.dispatch import COMMANDS, Command
from ftune.commands.prolong import key_of, prolong
from ftune.config.dump import dump, to_yaml
from ftune.config.free import free_settings
from ftune.console import Console, cell
from ftune.errors import RequestError
from ftune.extend.forgotten import needing
from ftune.record import refuse
from ftune.report.comparison import flat
from ftune.runs.folder import RunFolder
from ftune.runs.references import note_place
from ftune.runs.run_record import RunRecord
from ftune.runtime.processes import refuse_several
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.schema.search import Sweep
from ftune.search.sweep import choose_sampler, trial_count

TRIALS = "sweep.trials"
Change = tuple[str, Any, Any]
"""A setting with what it was and what it is."""


def resume(
    folder: RunFolder, allow_inexact: bool, console: Console,
    changes: Sequence[str] = (), out: Path | None = None, base: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Continue from the newest whole checkpoint, or a sweep from its study; return the summary.

    The folder is locked before it is read, as another process could change it meanwhile. The
    summary of a run that is done is returned as it is.
    changes: where its data lies now; or its length, for a new run; or the trials of a sweep.
    base: where the files lie now that hold its frozen weights, noted in the run.
    Raises LockedError where another process writes the run.
    """
    refuse_several()
    if base is not None:
        with folder.locked() as own:
            noted = note_place(own.path, base)
        told = f"are read from {base} from now on" if noted else "are all its own: --base is unused"
        console.info(f"{folder.path}: frozen weights {told}")
    if {key_of(change) for change in changes} == {TRIALS}:
        with folder.locked() as own:
            _extend(own, changes)
            return _resume(own, allow_inexact, console, ())
    moved = all(key_of(change) == "data.path" for change in changes)
    if not moved:
        with needing(folder.facts().get("code"), folder.path):
            return prolong(folder, changes, out, allow_inexact, console)
    if out is not None:
        raise RequestError("--out is for a longer training: ftune resume RUN train.epochs=N")
    with folder.locked() as own:
        return _resume(own, allow_inexact, console, changes)


def begun(asked: str | None, out: Path | None, config: RunConfig) -> RunFolder | None:
    """Return the run that `--out` holds already, for `--resume auto`; None where it holds none.

    Raises RequestError where the configuration has changed since the run began: a continuation
    would not follow it.
    """
    if asked is None:
        return None
    if asked != "auto" or out is None:
        wrong = "accepts auto" if asked != "auto" else "auto needs --out, the folder to look in"
        raise RequestError(f"--resume {wrong}")
    if not (out / "run.json").is_file():
        return None
    folder = RunFolder.open(out)
    changed = _changed(folder, config)
    if changed:
        listed = "\n  ".join(f"{k}: was {cell(was)}, is {cell(now)}" for k, was, now in changed)
        raise RequestError(
            f"{out} was begun with other settings:\n  {listed}\n{_ways_out(folder, changed)}"
        )
    return folder


def _ways_out(folder: RunFolder, changed: Sequence[Change]) -> str:
    keys = {key for key, _, _ in changed}
    words = " ".join(f"{key}={cell(now)}" for key, _, now in changed)
    if keys <= {"train.epochs", "train.steps"} or keys == {TRIALS}:
        return f"`ftune resume {folder.path} {words}` goes on to that length"
    return (
        "write the former values again, give another --out for a new run, or go on with the former"
        f" ones: `ftune resume {folder.path}`"
    )


def _changed(folder: RunFolder, config: RunConfig) -> list[Change]:
    """Return the settings that differ from the run's own, except those that a run fills in."""
    record = folder.record
    with needing(record.code, folder.path):
        began = flat(dump(LANGUAGE.load(folder.config_file)))
    now, searched = flat(dump(config)), COMMANDS[record.command].kind == "sweep"
    free = tuple(f"{key}." for key in free_settings(config) if key != "sweep" or not searched)
    return [
        (key, began.get(key), value)
        for key, value in now.items()
        if value != "auto" and value != began.get(key)
        if not f"{key}.".startswith(free)
    ]


def _longer(folder: RunFolder, command: Command) -> str:
    """Return how a run that is done can be made longer; empty where it cannot."""
    if command.kind == "training":
        return " (train.epochs=N would prolong it)"
    sweep = LANGUAGE.load(folder.config_file).sweep if command.kind == "sweep" else None
    return f" ({TRIALS}=N would add trials)" if sweep and not _fixed(sweep) else ""


def _fixed(sweep: Sweep) -> str:
    """Return why trials cannot be added to a sweep; empty where they can."""
    if sweep.halving:
        return "successive halving compares all its trials from the first rung on"
    if choose_sampler(sweep) == "grid":
        return "the points of a grid are chosen at its beginning"
    return ""


def _extend(folder: RunFolder, changes: Sequence[str]) -> None:
    """Write the new number of trials into a sweep's own file. Raises RequestError.

    The samplers ask the study how far they are, so that those of a longer sweep follow.
    """
    command, kind = folder.record.command, _command(folder.record).kind
    if kind != "sweep":
        raise RequestError(f"{changes[0]}: {folder.path} is of {command} and has no trials")
    old = LANGUAGE.load(folder.config_file).sweep
    new = LANGUAGE.load(folder.config_file, changes)
    assert old is not None and new.sweep is not None
    if why := _fixed(new.sweep):
        raise RequestError(f"{changes[0]}: {why}; begin a new sweep with it")
    if trial_count(new.sweep) <= trial_count(old):
        raise RequestError(f"{changes[0]}: {folder.path} has {trial_count(old):,}; give more")
    folder.write_config(to_yaml(dump(new)))
    folder.describe(status="interrupted")


def _command(record: RunRecord) -> Command:
    """Return the command of a run. Raises CheckpointError for one that ftune does not have."""
    if record.command not in COMMANDS:
        refuse(record.file, "command", record.command, f"one of {', '.join(COMMANDS)}")
    return COMMANDS[record.command]


def _resume(
    folder: RunFolder, allow_inexact: bool, console: Console, moved: Sequence[str]
) -> dict[str, Any]:
    record = folder.record
    command = _command(record)
    if record.status == "done":
        hint = _longer(folder, command)
        console.info(f"{folder.path} is done; there is nothing to continue{hint}")
        return folder.summary_json()
    with needing(record.code, folder.path):
        LANGUAGE.load(folder.config_file)
    return command.resume(folder, console, allow_inexact, moved)
