"""`ftune sweep`: which learning rate, optimizer, structure – with the table that says so."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ftune.assembly.build import base_pipeline, build, read_data
from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.commands.base_config import with_base
from ftune.commands.request import Request
from ftune.config.dump import dump
from ftune.console import Console, Progress
from ftune.engine.selection import Selection
from ftune.errors import InterruptedRunError, RequestError, RunFailedError
from ftune.record import Record
from ftune.report.sweep import show_result, summarise, trial_line
from ftune.runs.adapters import load_bases
from ftune.runs.base import Base
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.runtime.seeds import choose_determinism
from ftune.runtime.signals import stopper
from ftune.schema.root import LANGUAGE, NO_SWEEP, RunConfig
from ftune.search.launch import LocalLauncher
from ftune.search.lr_find import with_rate
from ftune.search.space import check_space, configured, parse_space
from ftune.search.study import Trial, ranked
from ftune.search.sweep import choose_sampler, make_scheduler, redacted_space, trial_count
from ftune.training.provenance import gathered, resume_words
from ftune.training.reopen import JUDGED_OTHERWISE
from ftune.training.run import create_folder


def sweep(request: Request) -> dict[str, Any]:
    """Run a new sweep and return its summary; with `plan`, only say what it would run."""
    refuse_several()
    base, console = request.base, request.console
    config, first, selection = first_trial(request.config, base)
    assert config.sweep is not None
    choose_determinism(config.runtime.deterministic, first.device)
    _show_plan(config, first.total, console)
    if request.plan:
        return {"command": "sweep", "status": "planned", "trials": trial_count(config.sweep)}
    path = RunFolder.place("sweep", request.stem, request.out, config.runs_folder)
    facts = gathered(config, first.dataset) | {
        "metric": selection.metric, "sign": -selection.cost(1.0)
    }  # fmt: skip
    with create_folder(config, path, "sweep", **facts) as folder:
        return _run(folder, config, base, selection, console)


def continue_sweep(
    folder: RunFolder, console: Console, allow_inexact: bool = False, moved: Sequence[str] = ()
) -> dict[str, Any]:
    """Continue a locked sweep: finished trials stay, open ones go on from their checkpoints.

    Raises RequestError for `moved` data, which a sweep reads where its config.yaml says.
    """
    del allow_inexact  # a trial goes on exactly, or fails alone
    if moved:
        raise RequestError(f"write the new data.path of a sweep into {folder.config_file}")
    config = LANGUAGE.load(folder.config_file)
    base = load_bases(config.base) if config.base else None
    record = Record(folder.facts(), folder.path / "run.json")
    selection = Selection(record.text("metric"), "max" if record.number("sign") > 0 else "min")
    if config.data.target_transforms and "raw_targets" not in record.values:
        console.warn(f"of the trials that have ended, {JUDGED_OTHERWISE}")
    folder.describe(status="running", pid=os.getpid())
    return _run(folder, config, base, selection, console)


def first_trial(config: RunConfig, base: Base | None) -> tuple[RunConfig, Parts, Selection]:
    """Return the configuration with its base, the first trial built, and the selection of trials.

    So a fault in space, data or structure ends the sweep before it trains. Raises FtuneError.
    """
    config = with_base(config, base) if base else config
    if config.sweep is None:
        raise RequestError(NO_SWEEP)
    if config.train.minutes is not None:
        raise RequestError(
            "train.minutes: trials of unequal speed would get unequal lengths; give `train.steps`"
            " or `train.epochs` for a sweep"
        )
    plain = dump(config)
    check_space(plain, parse_space(config.sweep))
    redacted_space(plain, config.sweep)
    parts = _first(config, plain, base)
    return config, parts, selection_of(parts)


def _first(config: RunConfig, plain: Mapping[str, Any], base: Base | None) -> Parts:
    assert config.sweep is not None
    axes = parse_space(config.sweep)
    trial = configured(plain, {key: axis.samples[0] for key, axis in axes.items()})
    if trial.optimizer.lr == "auto":
        trial = with_rate(trial, 1.0)
    dataset = read_data(trial, prior=base_pipeline(base))
    if dataset.val is None:
        raise RequestError("a sweep judges by the validation split: give `data.split.val`")
    return build(trial, dataset, base)


def _run(
    folder: RunFolder, config: RunConfig, base: Base | None, selection: Selection, console: Console
) -> dict[str, Any]:
    assert config.sweep is not None
    began, total = time.monotonic(), trial_count(config.sweep)
    if folder.note:
        console.warn(folder.note)
    try:
        with stopper() as stopping, console.progress("trials", total) as bar:
            stopping.leave(lambda number: InterruptedRunError(number, resume_words(folder.path)))
            report = _Reporter(bar, console, selection)
            scheduler = make_scheduler(
                folder.path, dump(config), config.sweep, selection, LocalLauncher(base), report
            )
            report.printed = {trial.number for trial in _ended(scheduler.study.trials())}
            trials = scheduler.run()
    except RunFailedError as error:
        seconds = time.monotonic() - began
        summary = summarise(folder, config, scheduler.study.trials(), selection, seconds)
        folder.write_summary({**summary, "status": "failed", "reason": str(error)})
        folder.describe(status="failed", reason=str(error))
        raise RunFailedError(f"{error}; run: {folder.path}") from None
    except (InterruptedRunError, KeyboardInterrupt) as error:
        folder.describe(status="interrupted")
        code = getattr(error, "exit_code", 130)
        raise InterruptedRunError(code - 128, resume_words(folder.path)) from None
    summary = summarise(folder, config, trials, selection, time.monotonic() - began)
    failed = summary["status"] == "failed"
    reason = f"all trials failed, the first because {trials[0].reason}" if failed else None
    folder.write_summary({**summary, "reason": reason} if failed else summary)
    folder.describe(status=summary["status"], **({"reason": reason} if failed else {}))
    show_result(config, trials, summary, selection, console)
    if failed:
        raise RunFailedError(f"{reason}; run: {folder.path}")
    return summary


class _Reporter:
    """Prints each trial that ended, once."""

    def __init__(self, bar: Progress, console: Console, selection: Selection) -> None:
        self.bar, self.console, self.selection = bar, console, selection
        self.printed: set[int] = set()

    def __call__(self, trials: Sequence[Trial]) -> None:
        ended = _ended(trials)
        order = ranked(trials, self.selection)
        best = f"best {self.selection.metric} {order[0].value:.4g}" if order else ""
        self.bar.update(len(ended), best)
        for trial in ended:
            if trial.number not in self.printed and not self.console.is_terminal:
                self.console.info(trial_line(trial))
            self.printed.add(trial.number)


def _ended(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.status != "open"]


def _show_plan(config: RunConfig, steps: int, console: Console) -> None:
    assert config.sweep is not None
    if config.sweep.question:
        console.info(config.sweep.question)
    axes = ", ".join(parse_space(config.sweep))
    halving = config.sweep.halving
    rungs = f", successive halving over {halving.rungs} rungs" if halving else ""
    console.info(
        f"sweep: {trial_count(config.sweep)} trials of up to {steps:,} steps over {axes} "
        f"({choose_sampler(config.sweep)}{rungs})"
    )
