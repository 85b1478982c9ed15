"""Processes to be killed: forked from one server that has torch loaded, so that each is cheap."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from ftune.errors import FtuneError
from support.apart import only_in_a_child

_SERVER = multiprocessing.get_context("forkserver")
PRELOADED = [
    "pytest", "sklearn.datasets", "ftune.commands.resume", "ftune.commands.sweep",
]  # fmt: skip
_SERVER.set_forkserver_preload(PRELOADED)  # installed modules only: it does not see the tests' path
DONE = 0


def preload(*modules: str) -> None:
    """Further modules that each child begins with; before the first of them is launched."""
    _SERVER.set_forkserver_preload([*PRELOADED, *modules])


def launch(work: Callable[..., None], *given: Any) -> BaseProcess:
    """A process that has begun to work, so that a signal meets ftune and not Python's start."""
    ready, here = _SERVER.Pipe(duplex=False)
    child = _SERVER.Process(target=_guarded, args=(here, work, *given))
    child.start()
    assert ready.poll(60), "the process never started"
    return child


def _guarded(here: Connection, work: Callable[..., None], *given: Any) -> None:
    """A user's fault or a signal is an exit code, as on the command line."""
    only_in_a_child()
    torch.set_num_threads(1)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        here.send(True)
        work(*given)
    except FtuneError as error:
        print(error)  # noqa: T201
        os._exit(error.exit_code)
    except KeyboardInterrupt:  # before the training began to listen
        os._exit(128 + signal.SIGINT)


def kill_at_random(
    child: BaseProcess, longest: float, dice: random.Random, number: int = signal.SIGKILL
) -> int:
    """Sends the signal after a random time; returns the exit code, 0 where it was too late."""
    time.sleep(dice.uniform(0, longest))
    assert child.pid is not None
    if child.is_alive():
        os.kill(child.pid, number)
    child.join(60)
    assert child.exitcode is not None, "still alive a minute after the signal"
    return child.exitcode
