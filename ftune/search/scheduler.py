"""Which trial trains next, and how far: to the end one by one, or rung by rung.

The study is the only record of what is done, and this process its only writer: whatever kills
the sweep, `resume` finds finished trials finished and continues open ones from their checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ftune.engine.selection import Selection
from ftune.errors import RunFailedError
from ftune.search.failures import failure_pattern, failure_reason
from ftune.search.launch import Launcher, Summary, TrialRequest
from ftune.search.study import Study, Trial
from ftune.search.trial_index import TrialIndex

SAME_FAILURES = 5


@dataclass(frozen=True)
class SuccessiveHalving:
    """Successive halving (Jamieson & Talwalkar 2016); promoted trials continue where they paused.

    With one rung every trial trains to the end.
    """

    selection: Selection
    rungs: int = 1
    factor: int = 1

    def divisor(self, rung: int) -> int | None:
        """Return by what the steps of a training are divided at a rung, None for the whole."""
        divisor = self.factor ** (self.rungs - 1 - rung)
        return divisor if divisor > 1 else None

    def promote(self, trials: Sequence[Trial], rung: int) -> tuple[list[Trial], list[Trial]]:
        """Split the open trials into those that train up to `rung` and those to be pruned.

        1/factor of all trials that reached the rung below are promoted, the best of them.
        """
        open_trials = [t for t in trials if t.status == "open" and t.rungs]
        reached = [t for t in trials if rung - 1 in t.rungs and t.same_as is None]
        ranking = sorted(reached, key=lambda t: self.selection.cost(t.rungs[rung - 1]))
        best = {t.number for t in ranking[: max(1, round(len(ranking) / self.factor))]}
        promoted = [t for t in open_trials if t.number in best]
        return promoted, [t for t in open_trials if t.number not in best]


@dataclass
class Scheduler:
    """Launches the trials of one sweep and records in the study how they ended.

    count: trials of the whole sweep. folder: of the sweep. report: called after each launch.
    """

    study: Study
    index: TrialIndex
    halving: SuccessiveHalving
    count: int
    folder: Path
    launch: Launcher
    report: Callable[[Sequence[Trial]], None]

    def run(self) -> list[Trial]:
        """Run what is not done yet and return every trial.

        Raises RunFailedError after five failures in a row for one reason, and what the launcher
        raises.
        """
        for trial in self.pending():
            self._advance(trial, 0)
        for rung in range(1, self.halving.rungs):
            promoted, pruned = self.halving.promote(self.study.trials(), rung)
            for trial in pruned:
                self.study.finish(trial, None, "pruned")
            self.study.repeat()
            for trial in promoted:
                self._advance(trial, rung)
        return self.study.trials()

    def pending(self) -> Iterator[Trial]:
        """Yield the open trials, then new ones until there are as many as asked for."""
        yield from [t for t in self.study.trials() if t.status == "open"]
        while len(self.study.trials()) < self.count:
            yield self.study.ask()

    def _advance(self, trial: Trial, rung: int) -> None:
        """Train a trial up to a rung, unless it has been there."""
        divisor = self.halving.divisor(rung)
        if divisor and rung in trial.rungs:
            return
        summary = self._launched(trial, divisor)
        if summary.status == "failed":
            self._fail(trial, summary.reason)
        elif summary.value is not None:
            if self.halving.rungs > 1 and rung not in trial.rungs:
                self.study.report(trial, rung, summary.value)
            if summary.status == "done":
                self.study.finish(trial, summary.value, "done")
        self.study.repeat()
        self.report(self.study.trials())

    def _launched(self, trial: Trial, divisor: int | None) -> Summary:
        try:
            request = TrialRequest(
                self.index.config(trial),
                trial_folder(self.folder, trial.number),
                partial(self.index.claim, trial),
            )
            if not request.begun and self.index.link_equal_config(trial):
                return Summary("duplicate")
        except Exception as error:  # settings that do not fit, also of the user's own parts
            return Summary("failed", reason=failure_reason(error))
        return self.launch(request, divisor)

    def _fail(self, trial: Trial, reason: str) -> None:
        """End one trial; the fifth in a row that failed alike ends the sweep."""
        self.study.finish(trial, None, "failed", reason)
        self.report(self.study.trials())
        ended = [t for t in self.study.trials() if t.same_as is None and t.status != "open"]
        patterns = [failure_pattern(t.reason) for t in ended[-SAME_FAILURES:]]
        if patterns == [failure_pattern(reason)] * SAME_FAILURES:
            raise RunFailedError(f"{SAME_FAILURES} trials in a row failed alike: {reason}")


def trial_folder(sweep: Path, number: int) -> Path:
    """Return the run folder of a trial."""
    return sweep / "trials" / f"{number:04d}"
