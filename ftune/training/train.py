"""One training from parts to summary; `optimize`, `finetune`, `resume` and each trial are this."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftune.adapt.quantize import load_tensors
from ftune.build import Parts, base_pipeline, build, read_data, start
from ftune.config.dump import dump, to_yaml
from ftune.console import Console
from ftune.data.dataset import Dataset, fingerprint, loses_targets, raw_fingerprint
from ftune.drive import job, score_all, selection_of
from ftune.engine.loop import Outcome, fit
from ftune.engine.state import State
from ftune.errors import FtuneError, InterruptedRunError, RequestError
from ftune.runs import checkpoint
from ftune.runs.adapters import load_bases
from ftune.runs.base import weights
from ftune.runs.files import disk_error
from ftune.runs.folder import RunFolder, read_metrics
from ftune.runtime.memory import memory
from ftune.runtime.signals import Stopper, stopper
from ftune.schema import LANGUAGE, RunConfig
from ftune.training.describe import (
    beyond,
    checkpoint_of,
    ending,
    peak_memory,
    show_parts,
    show_scores,
)
from ftune.training.exact import LATER, exactness
from ftune.training.facts import facts_of, resume_words
from ftune.training.record import Recorder, Resumed
from ftune.training.saving import check_space

Scores = dict[str, dict[str, float]]
DATA_CHANGED = "the data has changed since the run began"
JUDGED_OTHERWISE = (
    "the metrics up to now compare with targets that were taken back from `target_transforms`, as "
    "ftune 0.1 did; further ones compare with the file's own values and may be worse for the same "
    "model"
)


@dataclass
class Run:
    """A training with its folder; `pause_at` ends it at a step as a rung of a sweep."""

    parts: Parts
    folder: RunFolder
    state: State
    console: Console
    pause_at: int | None = None
    resumed: Resumed = field(default_factory=Resumed)
    began: float = field(default_factory=time.monotonic)


def new_run(
    command: str, stem: str, out: Path | None, parts: Parts, console: Console,
    began: float | None = None,
) -> Run:  # fmt: skip
    """Creates the run folder and writes what is known before the first step.

    began: by the monotonic clock, where something was done for it before (a search for its rate).
    """
    state = start(parts)  # refuses what cannot be built before anything is written
    selection_of(parts)
    moving = sum(p.numel() * p.element_size() for p in state.parameters)
    check_space(out or parts.config.runs_folder, checkpoint_of(parts, state, {}), moving)
    place = RunFolder.place(command, stem, out, parts.config.runs_folder)
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    folder = folder_for(parts, place, command, started=started)
    return Run(parts, folder, state, console, began=began or time.monotonic())


def folder_for(parts: Parts, place: Path, command: str, **more: Any) -> RunFolder:
    """A new run folder, locked, with what is known of a training before its first step."""
    folder = RunFolder.create(
        place,
        to_yaml(dump(parts.config)),
        command=command,
        status="running",
        pid=os.getpid(),
        notes=parts.notes,
        **more,
        **facts_of(parts),
    )
    if parts.dataset.profile is not None:
        folder.write_profile(parts.dataset.profile.to_json())
    return folder


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
    facts = folder.facts()
    if "parent" in facts and not facts.get("begun"):
        raise RequestError(
            f"{folder.path} was ended before it had taken over {facts['parent']}; delete it and "
            "prolong that one again"
        )
    if not any(folder.checkpoints.glob("step-*")):  # killed before its first checkpoint
        return _anew(folder, config, console)
    found, remarks = checkpoint.newest_valid(folder.checkpoints)
    for remark in remarks:
        console.warn(remark)
    dataset = read_data(config, fitted=base_pipeline(found))
    if config.runtime.threads == "auto":
        threads = found.meta["exact"]["threads"]
        config = replace(config, runtime=replace(config.runtime, threads=threads))
    parts = build(config, dataset, resumed=found)
    differing = differences(parts, found.meta["exact"], folder.facts())
    if differing and not allow_inexact:
        listed = "\n  ".join(differing)
        raise RequestError(
            f"cannot continue exactly:\n  {listed}\n--allow-inexact continues all the same"
        )
    if moved:
        folder.write_config(text)
    # Of a rate that was searched for, only the beginning knew what was in doubt.
    parts.notes = list(dict.fromkeys([*folder.facts().get("notes", []), *parts.notes]))
    state = start(parts)
    state.load(found.training, found.meta["loop"])
    folder.describe(status="running", pid=os.getpid())
    return Run(
        parts, folder, state, console, resumed=Resumed.of(found.meta["loop"], selection_of(parts))
    )


def _anew(folder: RunFolder, config: RunConfig, console: Console) -> Run:
    """A run that has not saved anything yet, from its beginning."""
    base = load_bases(config.base) if config.base else None
    dataset = read_data(config, prior=base_pipeline(base))
    if not _same_data(dataset, folder.facts()):
        raise RequestError(f"{folder.path}: {DATA_CHANGED}")
    parts = build(config, dataset, base)
    parts.notes = list(dict.fromkeys([*folder.facts().get("notes", []), *parts.notes]))
    folder.describe(status="running", pid=os.getpid())
    return Run(parts, folder, start(parts), console)


def train(run: Run) -> dict[str, Any]:
    """Trains, evaluates the best step, leaves a summary, and gives the folder's lock back.

    Raises InterruptedRunError after a signal, with the state saved, and whatever the training
    raises; the status on disk says so in each case. A paused run has status `paused`.
    """
    with run.folder, stopper() as stopping:  # until the last word is on the disk
        if run.folder.note:
            run.console.warn(run.folder.note)
        return _train(run, stopping)


def _train(run: Run, stopping: Stopper) -> dict[str, Any]:
    began, outcome, scores = run.began, None, Scores()
    show_parts(run.console, run.parts)
    try:
        with memory("the training"):
            outcome = _fit(run, stopping)
            if outcome.reason == "interrupted":
                raise InterruptedRunError(stopping.signal or 2, resume_words(run.folder.path))
            if outcome.reason != "paused":
                words = resume_words(run.folder.path)
                stopping.leave(lambda number: InterruptedRunError(number, words))
                scores = final_scores(run)
                stopping.error = None
    except InterruptedRunError:  # at a step, in the last one, or in the final scores; it is saved
        _end(run, "interrupted", began, outcome, {})
        raise
    except (FtuneError, OSError) as error:
        raise _failed(run, error, began) from None
    if outcome.reason == "paused":
        return _end(run, "paused", began, outcome, {})
    summary = _end(run, "done", began, outcome, scores)
    _show_end(run.console, summary, outcome)
    for note in ending(run.parts, run.state):
        run.console.say(f"note: {note}")
    return summary


def _end(
    run: Run, status: str, began: float, outcome: Outcome | None, scores: Scores
) -> dict[str, Any]:
    """The summary, and then the status, on the disk."""
    summary = _summary(run, status, began, outcome, scores)
    run.folder.write_summary(summary)
    run.folder.describe(status=status)
    return summary


def _failed(run: Run, error: FtuneError | OSError, began: float) -> FtuneError:
    """Leaves word of a failure in the run folder, if the disk still takes it."""
    if isinstance(error, OSError):
        error = disk_error(error, run.folder.path)
    with suppress(OSError):
        run.folder.describe(status="failed", reason=str(error))
        run.folder.write_summary(_summary(run, "failed", began, None, {}))
    return error


def final_scores(run: Run) -> Scores:
    """Scores of the best step on every split; its weights are loaded where they are others."""
    parts, state = run.parts, run.state
    state.clear_gradients()
    target = checkpoint.pointed(run.folder.checkpoints, "best")
    here = state.best is not None and state.best.step == state.step
    if target is not None and not here:
        load_tensors(parts.model, weights(checkpoint.load(target)))
        return score_all(parts, _known(run, state.best.step if state.best else -1))
    with state.evaluated():
        return score_all(parts, _known(run, state.step))


def _known(run: Run, step: int) -> Scores:
    """The validation scores that were written down at a step, which need not be found again.

    Those of ftune 0.1 may have compared with other targets.
    """
    if "raw_targets" not in run.folder.facts() and loses_targets(run.parts.dataset):
        return {}
    lines = read_metrics(run.folder.path / "metrics.jsonl")
    about = ("step", "epoch", "split", "time")
    found = [line for line in lines if line["split"] == "val" and line["step"] == step]
    return {"val": {k: v for k, v in found[-1].items() if k not in about}} if found else {}


def _fit(run: Run, stopping: Stopper) -> Outcome:
    with run.console.progress("training", run.parts.total) as bar:
        recorder = Recorder(
            run.parts, run.folder, run.console, bar, stopping, run.resumed, run.pause_at
        )
        try:
            return fit(run.state, job(run.parts, recorder))
        finally:
            recorder.close()


def _summary(
    run: Run, status: str, began: float, outcome: Outcome | None, scores: Scores
) -> dict[str, Any]:
    parts, state, best = run.parts, run.state, run.state.best
    used = checkpoint.pointed(run.folder.checkpoints, "best" if best else "latest")
    earlier = run.folder.summary() if status != "failed" else {}
    seconds = time.monotonic() - began + earlier.get("seconds", 0.0)
    stepping = outcome.train_seconds if outcome else 0.0
    metric = selection_of(parts).metric
    picked = {"step": best.step, "metric": metric, "value": best.value} if best else None
    return {
        "command": run.folder.facts()["command"],
        "status": status,
        "run": str(run.folder.path),
        "steps": state.step,
        "epochs": round(state.step / parts.batches.steps_per_epoch, 4),
        "seconds": round(seconds, 3),
        "train_seconds": round(stepping + (earlier.get("train_seconds") or 0.0), 3),
        "peak_memory_bytes": peak_memory(),
        "parameters": {"total": sum(parts.sizes.values()), "trainable": parts.trainable},
        "metrics": scores,
        "best": picked,
        "checkpoint": str(used) if used else None,
        "lr": parts.config.optimizer.lr,
        "skipped": state.skipped,
        "notes": [
            *(str(leak) for leak in (parts.dataset.profile.leaks if parts.dataset.profile else ())),
            *parts.notes,
            *beyond(parts),
            *(ending(parts, state) if status == "done" else []),
        ],
    }


def differences(
    parts: Parts, saved: Mapping[str, Any], facts: Mapping[str, Any], meant: tuple[str, ...] = ()
) -> list[str]:
    """In words, what would keep the continued run from giving the same bits.

    meant: settings, and blocks of them, that are to be others.
    """
    now, saved = exactness(parts), {**LATER, **saved}
    names = {**saved, **now}  # a block that was added or taken away has keys on one side only
    names = {k: v for k, v in names.items() if not any(f"{k}.".startswith(f"{m}.") for m in meant)}
    found = [
        f"{k}: was {saved.get(k)}, is {now.get(k)}" for k in names if saved.get(k) != now.get(k)
    ]
    if not _same_data(parts.dataset, facts):
        found.append(DATA_CHANGED)
    if "raw_targets" not in facts and loses_targets(parts.dataset):
        found.append(JUDGED_OTHERWISE)
    return found


def _same_data(dataset: Dataset, facts: Mapping[str, Any]) -> bool:
    """Whether a run began with it; one of ftune 0.1 noted nothing of the raw targets."""
    raw = raw_fingerprint(dataset)
    return bool(fingerprint(dataset) == facts["data"] and raw == facts.get("raw_targets", raw))


def _show_end(console: Console, summary: dict[str, Any], outcome: Outcome) -> None:
    show_scores(console, summary["metrics"])
    best = summary["best"]
    picked = f"; best at step {best['step']:,} by validation {best['metric']}" if best else ""
    early = " (stopped early)" if outcome.reason == "early" else ""
    rate = summary["steps"] / max(summary["train_seconds"], 1e-9)
    console.say(
        f"{summary['steps']:,} steps{early} in {summary['seconds']:.1f} s "
        f"({rate:,.0f} steps/s while training){picked}"
    )
    console.say(f"run: {summary['run']}")
