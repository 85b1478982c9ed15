"""One training from parts to summary; `optimize`, `finetune`, `resume` and each trial are this."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ftune.adapt.quantize import load_tensors
from ftune.assembly.job import job, score_all, selection_of
from ftune.console import Progress
from ftune.data.dataset import loses_targets
from ftune.engine.callback import Callback, Callbacks
from ftune.engine.loop import Outcome, fit
from ftune.errors import FtuneError, InterruptedRunError
from ftune.runs import checkpoint
from ftune.runs.base import weights
from ftune.runs.files import disk_error
from ftune.runs.folder import read_metrics
from ftune.runtime.memory import memory
from ftune.runtime.signals import Stopper, stopper
from ftune.training.callbacks.checkpointer import Checkpointer, CheckpointPolicy
from ftune.training.callbacks.display import ProgressBar, Warnings
from ftune.training.callbacks.metrics_log import MetricsLog
from ftune.training.callbacks.stop_signals import StopSignals
from ftune.training.checkpoint_content import ending, model_card, show_parts
from ftune.training.frozen_storage import frozen_storage
from ftune.training.provenance import resume_words
from ftune.training.resume_check import exactness
from ftune.training.run import Run
from ftune.training.saving import Saver
from ftune.training.summary import Scores, show_end, summary_of


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
    show_parts(run.console, run.config, run.parts)
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
    show_end(run.console, summary, outcome)
    for note in ending(run.config, run.parts, run.state):
        run.console.info(f"note: {note}")
    return summary


def _end(
    run: Run, status: str, began: float, outcome: Outcome | None, scores: Scores
) -> dict[str, Any]:
    """The summary, and then the status, on the disk."""
    summary = summary_of(run, status, began, outcome, scores)
    run.folder.write_summary(summary)
    run.folder.describe(status=status)
    return summary


def _failed(run: Run, error: FtuneError | OSError, began: float) -> FtuneError:
    """Leaves word of a failure in the run folder, if the disk still takes it."""
    if isinstance(error, OSError):
        error = disk_error(error, run.folder.path)
    with suppress(OSError):
        run.folder.describe(status="failed", reason=str(error))
        run.folder.write_summary(summary_of(run, "failed", began, None, {}))
    return error


def final_scores(run: Run) -> Scores:
    """Scores of the best step on every split; its weights are loaded where they are others."""
    parts, state = run.parts, run.state
    state.clear_gradients()
    target = checkpoint.pointed(run.folder.checkpoints, "best")
    here = state.best is not None and state.best.step == state.step
    if target is not None and not here:
        load_tensors(parts.model, weights(checkpoint.load(target)))
        return score_all(parts, logged_scores(run, state.best.step if state.best else -1))
    with state.evaluated():
        return score_all(parts, logged_scores(run, state.step))


def logged_scores(run: Run, step: int) -> Scores:
    """The validation scores that were written down at a step, which need not be found again.

    Those of ftune 0.1 may have compared with other targets.
    """
    if not run.folder.record.has_raw_targets and loses_targets(run.parts.dataset):
        return {}
    lines = read_metrics(run.folder.path / "metrics.jsonl")
    about = ("step", "epoch", "split", "time")
    scored = [line for line in lines if line["split"] == "val" and line["step"] == step]
    return {"val": {k: v for k, v in scored[-1].items() if k not in about}} if scored else {}


def _fit(run: Run, stopping: Stopper) -> Outcome:
    with run.console.progress("training", run.parts.total) as bar:
        callbacks = default_callbacks(run, bar, stopping)
        try:
            return fit(run.state, job(run.parts, callbacks))
        finally:
            callbacks.close()


def default_callbacks(run: Run, bar: Progress, stopping: Stopper) -> Callbacks:
    """Return what every training has beside its steps.

    The log comes before the checkpoints, which hold its state.
    """
    parts, file = run.parts, run.folder.path / "metrics.jsonl"
    per_epoch = parts.batches.steps_per_epoch
    log = MetricsLog(file, per_epoch, run.config.train.log_every, run.resumed)
    return Callbacks(
        log,
        ProgressBar(bar, selection_of(parts).metric, parts.target_kind == "tokens"),
        Warnings(run.console),
        checkpointer_of(run, [log]),
        StopSignals(run.console, stopping, run.pause_at),
    )


def checkpointer_of(run: Run, others: Sequence[Callback] = ()) -> Checkpointer:
    """Return the callback that saves a run as its configuration says; others: see there."""
    config, parts, folder = run.config, run.parts, run.folder.checkpoints
    train, every = config.train, config.train.checkpoint_every
    policy = CheckpointPolicy(
        every.in_steps(parts.batches.steps_per_epoch),
        every.minutes,
        train.rolls_back,
        refuses_broken=train.non_finite.policy == "stop",
    )
    metadata = {**model_card(config, parts), "exact": exactness(config, parts)}
    storage = frozen_storage(config, folder)
    saver = Saver(folder, train.keep, selection_of(parts), run.resumed.ranking, storage)
    return Checkpointer(parts, saver, policy, metadata, run.resumed, others)
