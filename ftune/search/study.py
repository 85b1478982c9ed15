"""The record of a sweep: an Optuna study in SQLite, written by one process."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from ftune.engine.selection import Selection
from ftune.errors import CheckpointError, RunFailedError
from ftune.runs.files import free_bytes
from ftune.search.space import Axis, Choices, Range, Space

Status = Literal["open", "done", "pruned", "failed"]
_STATUS: dict[TrialState, Status] = {
    TrialState.RUNNING: "open",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Trial:
    """One trial as the record has it; `rungs` are the values reached so far, by rung.

    same_as: the earlier trial whose settings it has, and whose result it takes over.
    """

    number: int
    params: Mapping[str, Any]
    status: Status
    value: float | None
    rungs: Mapping[int, float]
    reason: str = ""
    same_as: int | None = None


class Study:
    """Trials of a sweep, durable after every call."""

    def __init__(
        self,
        path: Path,
        space: Space,
        sampler: str,
        seed: int,
        mode: Literal["max", "min"],
        points: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """points: those of a grid, in the order in which they are tried."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.path, self.space, self.points = path, space, points
        self.distributions = {key: _distribution(axis) for key, axis in space.items()}
        with _readable(path):
            self._study = optuna.create_study(
                storage=f"sqlite:///{path.resolve()}",
                study_name="sweep",
                direction="maximize" if mode == "max" else "minimize",
                load_if_exists=True,
            )
            # A resumed sampler must not draw its first numbers again.
            self._study.sampler = _sampler(sampler, seed + 7919 * len(self._all()), seed)
            self._complete()

    def trials(self) -> list[Trial]:
        """Return all trials, by number."""
        return [self._read(t) for t in self._all() if t.state != TrialState.WAITING]

    def ask(self) -> Trial:
        """Return a new trial, whose settings the sampler chooses."""
        count = len(self.trials())
        with _writable(self.path):
            if self.points and count == len(self._all()):  # else one waits since the process died
                point = self.points[count]
                self._study.enqueue_trial({key: _encode(value) for key, value in point.items()})
            number = self._study.ask(self.distributions).number
        return self.trials()[number]

    def report(self, trial: Trial, rung: int, value: float) -> None:
        """Record the value that a trial reached at a rung."""
        with _writable(self.path):
            self._live(trial.number).report(value, rung)

    def finish(self, trial: Trial, value: float | None, status: Status, reason: str = "") -> None:
        """Record how a trial ended."""
        state = next(state for state, name in _STATUS.items() if name == status and name != "open")
        if reason:
            self._note(trial, "reason", reason)
        with _writable(self.path):
            self._study.tell(trial.number, None if status != "done" else value, state=state)

    def link(self, trial: Trial, original: int) -> None:
        """Record that a trial has the settings of an earlier one, so that it is not trained."""
        self._note(trial, "same_as", original)

    def repeat(self) -> None:
        """End every linked trial whose original has ended, as that one ended.

        The sampler then sees one value twice, as Optuna's FAQ has it for repeated settings.
        """
        trials = self.trials()
        for trial in trials:
            if trial.status != "open" or trial.same_as is None:
                continue
            original = trials[trial.same_as]
            if original.status == "open":
                continue
            for rung in sorted(set(original.rungs) - set(trial.rungs)):
                self.report(trial, rung, original.rungs[rung])
            self.finish(trial, original.value, original.status, original.reason)

    def note_training(self, trial: Trial, key: str) -> None:
        """Record the key of the trial's training."""
        self._note(trial, "training", key)

    def trainings(self) -> dict[str, int]:
        """Return the number of the trial of each training key."""
        noted = {t.number: t.user_attrs.get("training") for t in self._all()}
        return {key: number for number, key in noted.items() if key}

    def _note(self, trial: Trial, name: str, value: Any) -> None:
        with _writable(self.path):
            self._live(trial.number).set_user_attr(name, value)

    def _complete(self) -> None:
        """Places the trials that a dead process began to place; Optuna writes axis by axis."""
        for frozen in self._all():
            if frozen.state == TrialState.RUNNING and set(frozen.params) != set(self.distributions):
                live = self._live(frozen.number)
                for key, distribution in self.distributions.items():
                    live._suggest(key, distribution)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _live(self, number: int) -> optuna.trial.Trial:
        return optuna.trial.Trial(self._study, self._all()[number]._trial_id)

    def _read(self, frozen: FrozenTrial) -> Trial:
        rungs = frozen.intermediate_values
        value = frozen.value if frozen.state == TrialState.COMPLETE else None
        if frozen.state == TrialState.PRUNED and rungs:
            value = rungs[max(rungs)]
        params = {key: _decode(frozen.params[key]) for key in self.space if key in frozen.params}
        notes = frozen.user_attrs
        return Trial(
            frozen.number, params, _STATUS[frozen.state], value, rungs, notes.get("reason", ""),
            notes.get("same_as"),
        )  # fmt: skip


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raises CheckpointError for a record that is damaged, or that something else wrote."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ValueError, KeyError, TypeError,
            AssertionError) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: not the record of a sweep, or damaged: {reason}") from None


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Raises RunFailedError where the record takes nothing more; what it has stays."""
    try:
        yield
    except optuna.exceptions.StorageInternalError:
        free = free_bytes(path)
        raise RunFailedError(f"cannot write {path}; {free:,} bytes are free") from None


def ranked(trials: Sequence[Trial], selection: Selection) -> list[Trial]:
    """Return the finished trials, the best first."""
    done = [t for t in trials if t.status == "done" and t.value is not None]
    return sorted(done, key=lambda t: selection.cost(t.value or 0.0))


def _sampler(name: str, seed: int, scramble: int) -> optuna.samplers.BaseSampler:
    """`scramble` seeds the quasi-random sequence, whose place in it the study remembers."""
    random = optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, multivariate=True)
        if name == "qmc":
            return optuna.samplers.QMCSampler(
                qmc_type="halton", scramble=True, seed=scramble, independent_sampler=random
            )
    return random


def _distribution(axis: Axis) -> BaseDistribution:
    if isinstance(axis, Choices):
        return CategoricalDistribution([_encode(value) for value in axis.values])
    assert isinstance(axis, Range)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), axis.log, int(axis.step or 1))
    return FloatDistribution(axis.low, axis.high, axis.log, axis.step)


def _encode(value: Any) -> Any:
    """Optuna's choices are plain values; a list or mapping travels as JSON text."""
    return _JSON + json.dumps(value) if isinstance(value, list | dict) else value


def _decode(value: Any) -> Any:
    text = isinstance(value, str) and value.startswith(_JSON)
    return json.loads(value.removeprefix(_JSON)) if text else value


_JSON = "json:"
