"""A search for the learning rate that is stopped by a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from support.trainings import QUIET, configuration

from ftune.commands import lr_find
from ftune.errors import InterruptedRunError


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_exit_code_is_the_signals(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted_find(*given: Any) -> None:
        stopped: Callable[[], bool] = given[-1]
        assert not stopped()
        os.kill(os.getpid(), number)
        assert stopped()
        raise KeyboardInterrupt

    monkeypatch.setattr(lr_find, "find", interrupted_find)
    with pytest.raises(InterruptedRunError, match="nothing was written") as caught:
        lr_find.search(configuration(), None, None, QUIET)  # type: ignore[arg-type]
    assert caught.value.exit_code == 128 + number
