"""Who answers a signal: the block it comes in, or the one around it where that was too late."""

from __future__ import annotations

import os
import signal

import pytest
from support.children import launch

from ftune.errors import InterruptedRunError
from ftune.runtime.signals import stopper

WENT_ON = 7


def _error(number: int) -> Exception:
    return InterruptedRunError(number, "the sweep")


def heard_too_late(number: int) -> None:
    """A trial that hears the signal when its summary is written already, within a sweep."""
    with stopper() as sweep:
        sweep.leave(_error)
        with stopper():
            signal.raise_signal(number)
        os._exit(WENT_ON)


def heard_alone(number: int) -> None:
    """The same of a run with nothing around it: it is done."""
    with stopper():
        signal.raise_signal(number)
    os._exit(0)


def heard_in_time(number: int) -> None:
    with stopper() as sweep:
        sweep.leave(_error)
        with stopper() as trial:
            trial.leave(_error)
            signal.raise_signal(number)
        os._exit(WENT_ON)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("work", "code"), [(heard_too_late, 128), (heard_in_time, 128), (heard_alone, 0)]
)
def test_no_signal_is_lost(work: object, code: int, number: int) -> None:
    child = launch(work, number)  # type: ignore[arg-type]
    child.join(60)
    assert child.exitcode == (code + number if code else 0)
