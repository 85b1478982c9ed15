"""`ftune resume`: continues an interrupted run or sweep exactly."""

from __future__ import annotations

from typing import Any

from ftune.console import Console
from ftune.extend.forgotten import needing
from ftune.limits.form import of_form
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.schema import LANGUAGE
from ftune.training.train import reopen, train


def resume(folder: RunFolder, allow_inexact: bool, console: Console) -> dict[str, Any]:
    """Continues from the newest whole checkpoint, or a sweep from its study.

    Locked before it is read, as another process could change it meanwhile. Raises LockedError. Of
    a run that is done the summary is returned as it is.
    """
    refuse_several()
    with folder.locked() as own:
        return _resume(own, allow_inexact, console)


def _resume(folder: RunFolder, allow_inexact: bool, console: Console) -> dict[str, Any]:
    with of_form(str(folder.path)):
        facts = folder.facts()
        status, command = facts["status"], facts["command"]
    if status == "done":
        console.say(f"{folder.path} is done; there is nothing to continue")
        return folder.summary()
    with needing(facts.get("code"), folder.path):
        LANGUAGE.load(folder.config_file)
    if command == "sweep":
        from ftune.commands.sweep import continue_sweep

        return continue_sweep(folder, console)
    with of_form(str(folder.path)):
        run = reopen(folder, console, allow_inexact)
    console.say(f"continues at step {run.state.step:,} of {run.parts.total:,}")
    return train(run)
