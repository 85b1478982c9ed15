"""`ftune resume`: continues an interrupted run or sweep exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftune.commands.prolong import key_of, prolong
from ftune.commands.runs import flat
from ftune.config.dump import dump, to_yaml
from ftune.config.free import free_settings
from ftune.console import Console, cell
from ftune.errors import RequestError
from ftune.extend.forgotten import needing
from ftune.limits.form import of_form
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.schema.search import Sweep
from ftune.search.sweep import choose_sampler, trial_count
from ftune.training.reopen import reopen
from ftune.training.train import train

TRIALS = "sweep.trials"
Change = tuple[str, Any, Any]
"""A setting with what it was and what it is."""


def resume(
    folder: RunFolder, allow_inexact: bool, console: Console,
    changes: Sequence[str] = (), out: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Continues from the newest whole checkpoint, or a sweep from its study.

    Locked before it is read, as another process could change it meanwhile. Raises LockedError. Of
    a run that is done the summary is returned as it is. changes: where its data lies now; or of
    its length, for a new run; or how many trials a sweep shall have.
    """
    refuse_several()
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
    """With `--resume auto` the run that is in `--out` already, which is to be gone on with.

    Raises RequestError where the file has changed since the run began, which a continuation would
    not heed.
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
    """Settings of which the run's own are others; those that a run fills in are passed over."""
    facts = folder.facts()
    with needing(facts.get("code"), folder.path):
        began = flat(dump(LANGUAGE.load(folder.config_file)))
    now, searched = flat(dump(config)), facts["command"] == "sweep"
    free = tuple(f"{key}." for key in free_settings(config) if key != "sweep" or not searched)
    return [
        (key, began.get(key), value)
        for key, value in now.items()
        if value != "auto" and value != began.get(key)
        if not f"{key}.".startswith(free)
    ]


def _longer(folder: RunFolder, command: str) -> str:
    """How there would be more of a run that is done, if there is a way."""
    if command in ("optimize", "finetune"):
        return " (train.epochs=N would prolong it)"
    sweep = LANGUAGE.load(folder.config_file).sweep if command == "sweep" else None
    return f" ({TRIALS}=N would add trials)" if sweep and not _fixed(sweep) else ""


def _fixed(sweep: Sweep) -> str:
    """Why there can be no more trials in it; empty where there can."""
    if sweep.halving:
        return "successive halving compares all its trials from the first rung on"
    if choose_sampler(sweep) == "grid":
        return "the points of a grid are chosen at its beginning"
    return ""


def _extend(folder: RunFolder, changes: Sequence[str]) -> None:
    """Writes the new number of trials into a sweep's own file. Raises RequestError.

    The samplers ask the study how far they are, so that those of a longer sweep follow.
    """
    with of_form(str(folder.path)):
        command = folder.facts()["command"]
    if command != "sweep":
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


def _resume(
    folder: RunFolder, allow_inexact: bool, console: Console, moved: Sequence[str]
) -> dict[str, Any]:
    with of_form(str(folder.path)):
        facts = folder.facts()
        status, command = facts["status"], facts["command"]
    if status == "done":
        longer = _longer(folder, command)
        console.say(f"{folder.path} is done; there is nothing to continue{longer}")
        return folder.summary()
    with needing(facts.get("code"), folder.path):
        LANGUAGE.load(folder.config_file)
    if command == "sweep":
        if moved:
            raise RequestError(f"write the new data.path of a sweep into {folder.config_file}")
        from ftune.commands.sweep import continue_sweep

        return continue_sweep(folder, console)
    with of_form(str(folder.path)):
        run = reopen(folder, console, allow_inexact, moved)
    console.say(f"continues at step {run.state.step:,} of {run.parts.total:,}")
    return train(run)
