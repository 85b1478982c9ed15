"""`ftune resume RUN train.epochs=40`: more of a training, as a new run with the old one as parent.

What the old run promises, that its config.yaml gives these very numbers, stays true.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftune.assembly.build import base_pipeline, build, read_data, start
from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.commands.dispatch import COMMANDS
from ftune.config.fields import settings_with
from ftune.console import Console
from ftune.engine.state import State
from ftune.errors import RequestError
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import RunRecord
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.checkpoint_content import checkpoint_of, model_card
from ftune.training.reopen import differences
from ftune.training.resume_check import exactness
from ftune.training.resumed import Resumed
from ftune.training.run import Run, folder_for
from ftune.training.train import train

LENGTH = settings_with(RunConfig, "length")
OTHER_LENGTH = (*LENGTH, "total")


@dataclass(frozen=True)
class _Parent:
    """The run to prolong, with its newest whole checkpoint."""

    folder: RunFolder
    record: RunRecord
    config: RunConfig
    saved: Checkpoint

    @property
    def step(self) -> int:
        return self.saved.loop.step

    @property
    def total(self) -> int:
        """Its length in steps, as planned."""
        return int(self.saved.exact.count("total"))


def prolong(
    folder: RunFolder, changes: Sequence[str], out: Path | None, inexact: bool, console: Console
) -> dict[str, Any]:
    """Train on for the new length and return the summary of the new run.

    Raises RequestError for other settings, and where the new length is not longer.
    """
    parent = _parent(folder, changes)
    config = LANGUAGE.load(folder.config_file, _length(changes))
    config = replace(config, runtime=replace(config.runtime, threads=_threads(parent, config)))
    dataset = read_data(config, fitted=base_pipeline(parent.saved))
    parts = build(config, dataset, resumed=parent.saved)
    _refuse_differences(parent, config, parts, inexact)
    state = start(parts)
    state.load(parent.saved.training, parent.saved.loop.to_json())
    _refuse_ended(parent, parts, state)
    parts.notes = list(dict.fromkeys([*parent.record.notes, *parts.notes]))
    new = _new_folder(parent, config, parts, state, out)
    for message in _messages(parent, parts, state):
        console.info(message)
    resumed = Resumed.of(parent.saved.loop, selection_of(parts))
    run = Run(config, parts, new, state, console, resumed=resumed)
    return train(run) | {"parent": str(folder.path)}


def _parent(folder: RunFolder, changes: Sequence[str]) -> _Parent:
    """Return the run to prolong. Raises RequestError for other runs and other settings."""
    record = folder.record
    odd = [c for c in changes if not key_of(c).startswith((*LENGTH, "data.path"))]
    if odd:
        LANGUAGE.load(folder.config_file, odd)  # says it where there is no such setting
        raise RequestError(
            f"`{odd[0]}`: only {', '.join(LENGTH)} can be changed as a run goes on; with other "
            f"settings it is another training: ftune finetune --base {folder.path} {odd[0]}"
        )
    command = COMMANDS.get(record.command)
    if command is None or command.kind != "training" or record.status == "running":
        raise RequestError(
            f"{folder.path}: {record.command}, {record.status}; a training that has ended or "
            "was interrupted can be prolonged"
        )
    saved, _ = checkpoint.newest_valid(folder.checkpoints)
    return _Parent(folder, record, LANGUAGE.load(folder.config_file), saved)


def key_of(change: str) -> str:
    """Return the setting that `key=value` or `~key` changes."""
    return change.removeprefix("~").partition("=")[0]


def _length(changes: Sequence[str]) -> list[str]:
    """Return the changes, with `train.steps` unset where epochs alone are given."""
    keys = {key_of(change) for change in changes}
    only_epochs = "train.epochs" in keys and "train.steps" not in keys
    return [*changes, *(["train.steps=null"] if only_epochs else [])]


def _threads(parent: _Parent, config: RunConfig) -> Any:
    auto = config.runtime.threads == "auto"
    return parent.saved.exact.count("threads") if auto else config.runtime.threads


def _refuse_differences(parent: _Parent, config: RunConfig, parts: Parts, inexact: bool) -> None:
    saved = parent.saved.exact.values
    differing = differences(config, parts, saved, parent.record, OTHER_LENGTH)
    if differing and not inexact:
        listed = "\n  ".join(differing)
        raise RequestError(
            f"cannot go on from the same:\n  {listed}\n--allow-inexact goes on all the same"
        )


def _refuse_ended(parent: _Parent, parts: Parts, state: State) -> None:
    if parts.total <= parent.step:
        raise RequestError(
            f"{parent.folder.path} is at step {parent.step:,} already, and this length is "
            f"{parts.total:,} steps; give more"
        )
    if selection_of(parts).exhausted(state):
        raise RequestError(
            f"{parent.folder.path} has waited {state.evals_since_gain} evaluations for something "
            "better and would end at once; give train.early_stop too: a longer patience, or null"
        )


def _new_folder(
    parent: _Parent, config: RunConfig, parts: Parts, state: State, out: Path | None
) -> RunFolder:
    """Create a folder with all that was saved, and a checkpoint for the new length."""
    command = parent.record.command
    path = RunFolder.place(command, "prolonged", out, parent.folder.path.parent)
    new = folder_for(
        config, parts, path, command, parent=str(parent.folder.path.resolve()),
        parent_step=parent.step,
    )  # fmt: skip
    shutil.copytree(parent.folder.checkpoints, new.checkpoints)
    metrics = parent.folder.path / "metrics.jsonl"
    if metrics.exists():
        shutil.copy(metrics, new.path / "metrics.jsonl")
    spent = parent.folder.summary
    new.write_summary({"seconds": spent.seconds, "train_seconds": spent.train_seconds})
    loop = parent.saved.loop.to_json()
    recorded = {key: loop[key] for key in ("unlogged", "ranking", "anchor")}
    metadata = {**model_card(config, parts), "exact": exactness(config, parts)}
    checkpoint.save(new.checkpoints, checkpoint_of(parts, state, metadata, recorded), parent.step)
    new.describe(begun=True)
    return new


def _messages(parent: _Parent, parts: Parts, state: State) -> list[str]:
    """Return what is said of the length, and of the jump of the rate with the new schedule."""
    rate = state.base_lr
    before = parent.config.schedule.build(parent.total, parts.batches.steps_per_epoch)
    before.load(dict(parent.saved.loop.schedule))
    last = rate * before.factor(max(state.updates - 1, 0))
    following = rate * state.schedule.factor(state.updates)
    return [
        f"prolongs {parent.folder.path}: from step {parent.step:,} to {parts.total:,} instead of "
        f"{parent.total:,}",
        f"the schedule is laid over the new length: the learning rate was {last:.3g} in the last "
        f"step and is {following:.3g} in the next",
    ]
