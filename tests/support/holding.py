"""Processes that hold the lock of a folder until they are killed."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from weakref import WeakSet

from ftune.runs import lock
from ftune.runs.lock import Lock
from support.children import launch


def holding(folder: Path) -> None:
    """Takes the lock and keeps it, and forks a process that outlives it."""
    taken = Lock.take(folder)
    heir = os.fork()
    if heir == 0:
        time.sleep(120)
        os._exit(0)
    _heir(folder).with_suffix(".new").write_text(str(heir))
    _heir(folder).with_suffix(".new").replace(_heir(folder))
    while taken.held:
        time.sleep(1)


class Forgetful(WeakSet[Lock]):
    def add(self, item: Lock) -> None:
        del item


def holding_for_all(folder: Path) -> None:
    """The negative control: whoever is forked keeps the lock, too."""
    lock._held = Forgetful()
    holding(folder)


def hold(folder: Path, forks_keep_it: bool = False) -> BaseProcess:
    """A process that has the lock of a folder."""
    child = launch(holding_for_all if forks_keep_it else holding, folder)
    while not _heir(folder).exists():
        assert child.is_alive()
        time.sleep(0.005)
    return child


def end_heir(folder: Path) -> None:
    """Ends what the holder forked; fails where it does not live any more."""
    os.kill(int(_heir(folder).read_text()), signal.SIGKILL)


def _heir(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.heir")
