"""A run goes on where its newest whole checkpoint left it, or says why not exactly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftune.assembly.build import base_pipeline, build, read_data, start
from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.config.dump import dump, to_yaml
from ftune.console import Console
from ftune.data.dataset import Dataset, fingerprint, loses_targets, raw_fingerprint
from ftune.errors import CheckpointError, RequestError
from ftune.runs import checkpoint
from ftune.runs.adapters import load_bases
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import RunRecord
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.training.resume_check import LATER, exactness
from ftune.training.resumed import Resumed
from ftune.training.run import Run

DATA_CHANGED = "the data has changed since the run began"
JUDGED_OTHERWISE = (
    "the metrics up to now compare with targets that were taken back from `target_transforms`, as "
    "ftune 0.1 did; further ones compare with the file's own values and may be worse for the same "
    "model"
)


def reopen(
    folder: RunFolder, console: Console, allow_inexact: bool = False, moved: Sequence[str] = ()
) -> Run:
    """Locks a run and returns it as its newest whole checkpoint left it.

    moved: overrides that say where its data lies now, kept in its config.yaml.
    Raises RequestError where that is not exact, LockedError where another process writes it.
    """
    folder = folder.locked()
    try:
        return _continued(folder, console, allow_inexact, moved)
    except BaseException:
        folder.release()
        raise


def _continued(
    folder: RunFolder, console: Console, allow_inexact: bool, moved: Sequence[str]
) -> Run:
    config = LANGUAGE.load(folder.config_file, moved)
    text = to_yaml(dump(config))
    record = folder.record
    if record.parent is not None and not record.begun:
        raise RequestError(
            f"{folder.path} was ended before it had taken over {record.parent}; delete it and "
            "prolong that one again"
        )
    if not any(folder.checkpoints.glob("step-*")):  # killed before its first checkpoint
        return _anew(folder, config, console)
    saved, remarks = checkpoint.newest_valid(folder.checkpoints)
    for remark in remarks:
        console.warn(remark)
    dataset = read_data(config, fitted=base_pipeline(saved))
    if config.runtime.threads == "auto":
        threads = saved.exact.count("threads")
        config = replace(config, runtime=replace(config.runtime, threads=threads))
    if "train.cache" not in saved.exact.values:  # an older ftune computed all layers in each step
        config = replace(config, train=replace(config.train, cache="off"))
    parts = build(config, dataset, resumed=saved)
    differing = differences(config, parts, saved.exact.values, record)
    if differing and not allow_inexact:
        listed = "\n  ".join(differing)
        raise RequestError(
            f"cannot continue exactly:\n  {listed}\n--allow-inexact continues all the same"
        )
    if moved:
        folder.write_config(text)
    # Of a rate that was searched for, only the beginning knew what was in doubt.
    parts.notes = list(dict.fromkeys([*folder.record.notes, *parts.notes]))
    state = start(parts)
    loop = saved.loop
    state.load(saved.training, loop.to_json())
    folder.describe(status="running", pid=os.getpid())
    resumed = Resumed.of(loop, selection_of(parts))
    return Run(config, parts, folder, state, console, resumed=resumed)


def _anew(folder: RunFolder, config: RunConfig, console: Console) -> Run:
    """A run that has not saved anything yet, from its beginning."""
    base = load_bases(config.base) if config.base else None
    dataset = read_data(config, prior=base_pipeline(base))
    if not _same_data(dataset, folder.record):
        raise RequestError(f"{folder.path}: {DATA_CHANGED}")
    parts = build(config, dataset, base)
    parts.notes = list(dict.fromkeys([*folder.record.notes, *parts.notes]))
    folder.describe(status="running", pid=os.getpid())
    return Run(config, parts, folder, start(parts), console)


def differences(
    config: RunConfig, parts: Parts, saved: Mapping[str, Any], record: RunRecord,
    meant: tuple[str, ...] = (),
) -> list[str]:  # fmt: skip
    """In words, what would keep the continued run from giving the same bits.

    meant: settings, and blocks of them, that are to be others.
    """
    now, saved = exactness(config, parts), {**LATER, **saved}
    names = {**saved, **now}  # a block that was added or taken away has keys on one side only
    names = {k: v for k, v in names.items() if not any(f"{k}.".startswith(f"{m}.") for m in meant)}
    sentences = [
        f"{k}: was {saved.get(k)}, is {now.get(k)}" for k in names if saved.get(k) != now.get(k)
    ]
    if not _same_data(parts.dataset, record):
        sentences.append(DATA_CHANGED)
    if not record.has_raw_targets and loses_targets(parts.dataset):
        sentences.append(JUDGED_OTHERWISE)
    return sentences


def _same_data(dataset: Dataset, record: RunRecord) -> bool:
    """Whether a run began with it; one of ftune 0.1 noted nothing of the raw targets."""
    if record.data is None:
        raise CheckpointError(f"{record.file}: damaged: no `data`")
    same_raw = not record.has_raw_targets or raw_fingerprint(dataset) == record.raw_targets
    return fingerprint(dataset) == record.data and same_raw
