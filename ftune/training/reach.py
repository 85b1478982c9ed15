"""Settings that a training of a given length never reaches; `ftune check` knows part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from ftune.config.decimals import as_written
from ftune.optim import SCHEDULES
from ftune.optim.schedule import Warmup
from ftune.schema.interval import EvalInterval
from ftune.schema.root import RunConfig
from ftune.training.fading import fading


@dataclass(frozen=True)
class Length:
    """How long a training is: optimizer steps, epochs and steps of one; None where not known."""

    steps: int | None
    epochs: float | None
    per_epoch: int | None = None

    @classmethod
    def declared(cls, config: RunConfig) -> Length:
        """As far as the configuration alone tells it."""
        train = config.train
        if train.minutes is not None:
            return cls(None, None)
        return cls(train.steps, None) if train.steps else cls(None, train.epochs)

    def __str__(self) -> str:
        if self.steps is None or self.epochs is None:
            known = self.epochs if self.steps is None else self.steps
            return _count(known, "epoch" if self.steps is None else "step")
        return f"{_count(self.steps, 'step')} ({self.epochs:.4g} epochs)"


def unreached(config: RunConfig, length: Length, judged: bool = True) -> list[str]:
    """A sentence with the numbers for each setting beyond the end, as far as that is known.

    judged: whether there are validation rows.
    """
    rules = (*_RULES, *(_JUDGED if judged else ()))
    return [sentence for rule in rules for sentence in rule(config, length)]


def _warmup(config: RunConfig, length: Length) -> Iterator[str]:
    schedule, steps = config.schedule, length.steps
    warmup = getattr(schedule, "warmup", None)
    if steps is None or not isinstance(warmup, Warmup):
        return
    asked = warmup.length(steps)
    if asked >= steps:
        yield (
            f"schedule.warmup is {_count(asked, 'step')} and the training {length}: the rate never "
            f"reaches optimizer.lr, it ends at {steps / (asked + 1):.1%} of it"
        )
    elif _is(schedule, "wsd"):
        yield from _cut_decay(schedule, steps)


def _cut_decay(schedule: Any, steps: int) -> Iterator[str]:
    asked, left = round(as_written(schedule.decay) * steps), steps - schedule.warmup.length(steps)
    if asked > left:
        yield (
            f"schedule.decay is {_count(asked, 'step')} of the training, and its warm-up leaves "
            f"{left:,}: the decay takes these"
        )


def _drops(config: RunConfig, length: Length) -> Iterator[str]:
    schedule: Any = config.schedule
    epochs = length.epochs
    if _is(schedule, "step") and schedule.every and epochs and schedule.every >= epochs:
        yield (
            f"schedule.every is {_count(schedule.every, 'epoch')} and the training "
            f"{_count(epochs, 'epoch')}: the rate never drops"
        )
    if _is(schedule, "cosine_restarts") and length.steps and schedule.cycles > length.steps:
        yield (
            f"schedule.cycles is {schedule.cycles:,} and the training {length}: cycles shorter "
            "than a step, whose curve the rate cannot follow"
        )
    yield from fading(schedule, length.steps, epochs, length.per_epoch)


def _evaluations(config: RunConfig, length: Length) -> Iterator[str]:
    between = _between(config.eval_.every, length)
    if between is None:
        return
    listeners = _listeners(config)
    count = max(0, ceil(between) - 1)  # between the start and the end
    if between < 1 and (listeners or config.eval_.every != EvalInterval(epochs=1)):
        without = f", and {' and '.join(listeners)} cannot act" if listeners else ""
        yield (
            f"eval.every is {_shown(config.eval_.every)} and the training {length}: only its start "
            f"and its end are evaluated{without}"
        )
        return
    for key, needed in listeners.items():
        if needed > count:
            yield (
                f"{key} needs {_count(needed, 'evaluation')} before the last, and the training "
                f"has {count:,}: it cannot act"
            )


def _listeners(config: RunConfig) -> dict[str, int]:
    """What waits for evaluations, and how many come before it can act; the one at step 0 apart."""
    early, schedule = config.train.early_stop, config.schedule
    waiting = {"train.early_stop": early.patience} if early else {}
    drop = {"schedule: plateau": schedule.patience + 2} if _is(schedule, "plateau") else {}
    return waiting | drop


def _between(every: EvalInterval, length: Length) -> Any:
    """How many intervals go into the training, exactly; None where it is not known."""
    if length.per_epoch is not None and length.steps is not None:
        interval = every.in_steps(length.per_epoch)
        return None if interval is None else as_written(length.steps) / interval
    given = ((every.steps, length.steps), (every.epochs, length.epochs))
    pairs = [(interval, whole) for interval, whole in given if interval is not None]
    if not pairs or any(whole is None for _, whole in pairs):
        return None
    return max(as_written(whole or 0) / as_written(interval) for interval, whole in pairs)


def _training(config: RunConfig, length: Length) -> Iterator[str]:
    train, steps = config.train, length.steps
    guard = train.spike_guard
    if guard and steps is not None and guard.window >= steps:
        yield (
            f"train.spike_guard.window is {guard.window:,} losses and the training {length}: "
            "nothing is ever a spike"
        )
    if train.log_every and steps is not None and train.log_every > steps:
        yield (
            f"train.log_every is {_count(train.log_every, 'step')} and the training {length}: "
            "metrics.jsonl gets no training loss"
        )


def _phases(config: RunConfig, length: Length) -> Iterator[str]:
    for index, rule in enumerate(config.adapt):
        begin = rule.from_epoch
        if begin and length.epochs is not None and begin >= length.epochs:
            yield (
                f"adapt.{index}.from_epoch is {begin} and the training "
                f"{_count(length.epochs, 'epoch')}: `{rule.match}` never begins to be trained"
            )


Rule = Callable[[RunConfig, Length], Iterator[str]]
_RULES: Sequence[Rule] = (_warmup, _drops, _training, _phases)
_JUDGED: Sequence[Rule] = (_evaluations,)


def _is(schedule: object, name: str) -> bool:
    return isinstance(schedule, SCHEDULES[name])


def _shown(every: EvalInterval) -> str:
    given = ((every.steps, "step"), (every.epochs, "epoch"))
    return " or ".join(_count(number, unit) for number, unit in given if number is not None)


def _count(number: float | None, unit: str) -> str:
    assert number is not None
    return f"{number:,.10g} {unit}{'' if number == 1 else 's'}"
