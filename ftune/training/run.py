"""A training with its folder, from its parts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftune.assembly.build import start
from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.config.dump import dump, to_yaml
from ftune.console import Console
from ftune.engine.state import State
from ftune.runs.folder import RunFolder
from ftune.schema.root import RunConfig
from ftune.training.checkpoint_content import checkpoint_of
from ftune.training.provenance import gathered
from ftune.training.resumed import Resumed
from ftune.training.saving import check_space


@dataclass
class Run:
    """A training with its folder; `pause_at` ends it at a step as a rung of a sweep.

    config: what the run stores as its own, and what its callbacks are made by.
    """

    config: RunConfig
    parts: Parts
    folder: RunFolder
    state: State
    console: Console
    pause_at: int | None = None
    resumed: Resumed = field(default_factory=Resumed)
    began: float = field(default_factory=time.monotonic)


def new_run(
    command: str, stem: str, out: Path | None, config: RunConfig, parts: Parts, console: Console,
    began: float | None = None,
) -> Run:  # fmt: skip
    """Creates the run folder and writes what is known before the first step.

    began: by the monotonic clock, where something was done for it before (a search for its rate).
    """
    state = start(parts)  # refuses what cannot be built before anything is written
    selection_of(parts)
    moving = sum(p.numel() * p.element_size() for p in state.parameters)
    check_space(out or config.runs_folder, checkpoint_of(parts, state, {}), moving)
    path = RunFolder.place(command, stem, out, config.runs_folder)
    folder = folder_for(config, parts, path, command)
    return Run(config, parts, folder, state, console, began=began or time.monotonic())


def folder_for(
    config: RunConfig, parts: Parts, place: Path, command: str, **more: Any
) -> RunFolder:
    """Create the locked folder of a training, with what is known before its first step."""
    facts = {"notes": parts.notes, **more, **gathered(config, parts.dataset, parts.threads)}
    directions = dict(parts.task.directions)
    folder = create_folder(config, place, command, **facts, directions=directions)
    if parts.dataset.profile is not None:
        folder.write_profile(parts.dataset.profile.to_json())
    return folder


def create_folder(
    config: RunConfig, place: Path, command: str, status: str = "running", **facts: Any
) -> RunFolder:
    """Create a locked run folder with config.yaml and run.json; the run starts now, here."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    about = {"command": command, "status": status, "pid": os.getpid(), "started": started}
    return RunFolder.create(place, to_yaml(dump(config)), **about, **facts)
