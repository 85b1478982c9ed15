"""`ftune resume`: continues an interrupted run or sweep exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftune.commands.prolong import key_of, prolong
from ftune.commands.runs import flat
from ftune.config.dump import dump
from ftune.config.free import free_settings
from ftune.console import Console, cell
from ftune.errors import RequestError
from ftune.extend.forgotten import needing
from ftune.limits.form import of_form
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.reopen import reopen
from ftune.training.train import train


def resume(
    folder: RunFolder, allow_inexact: bool, console: Console,
    changes: Sequence[str] = (), out: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Continues from the newest whole checkpoint, or a sweep from its study.

    Locked before it is read, as another process could change it meanwhile. Raises LockedError. Of
    a run that is done the summary is returned as it is. changes: where its data lies now; or of
    its length, for a new run.
    """
    refuse_several()
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
        listed = "\n  ".join(changed)
        raise RequestError(
            f"{out} was begun with other settings:\n  {listed}\ngive them back, another --out, or "
            f"`ftune resume {out}` without the file"
        )
    return folder


def _changed(folder: RunFolder, config: RunConfig) -> list[str]:
    """Settings of which the run's own are others; those that a run fills in are passed over."""
    with needing(folder.facts().get("code"), folder.path):
        began = flat(dump(LANGUAGE.load(folder.config_file)))
    now, free = flat(dump(config)), tuple(f"{key}." for key in free_settings(config))
    return [
        f"{key}: was {cell(began.get(key))}, is {cell(value)}"
        for key, value in now.items()
        if value != "auto" and value != began.get(key)
        if not f"{key}.".startswith(free)
    ]


def _resume(
    folder: RunFolder, allow_inexact: bool, console: Console, moved: Sequence[str]
) -> dict[str, Any]:
    with of_form(str(folder.path)):
        facts = folder.facts()
        status, command = facts["status"], facts["command"]
    if status == "done":
        console.say(
            f"{folder.path} is done; there is nothing to continue (train.epochs=N would prolong it)"
        )
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
