"""The words beside the bar, and the lines off a terminal."""

from __future__ import annotations

import itertools
import time

import pytest

from ftune.console import Console, duration
from ftune.engine.step import StepResult
from ftune.training.pace import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_fast_steps_are_counted_by_the_second() -> None:
    clock = Clock()
    pace = Pace(False, clock)
    due = []
    for loss in (1.0, 2.0, 6.0):
        clock.now += 0.2
        due.append(pace.count(StepResult(loss, weight=8)))
    assert due == [False, False, True]
    assert pace.words() == ["loss 3", "5 steps/s"]


def test_slow_ones_by_the_step_and_tokens_where_there_are_any() -> None:
    clock = Clock()
    pace = Pace(True, clock)
    clock.now = 100.0
    pace.restart()  # an evaluation is no step
    for _ in range(2):
        clock.now += 3.2
        pace.count(StepResult(0.5, weight=640))
    assert pace.words() == ["loss 0.5", "3.2 s/step", "200 tokens/s"]


def test_a_line_each_minute_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = itertools.count(0, 10)  # ten seconds a step
    monkeypatch.setattr(time, "monotonic", lambda: float(next(times)))
    with Console().progress("training", 1000) as bar:
        for step in range(100, 119):
            bar.update(step, "loss 0.5")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0] == "training: 105/1,000, loss 0.5, 3.0 h left"
    assert lines[2].startswith("training: 117/1,000")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4, "4 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (9000, "2.5 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
