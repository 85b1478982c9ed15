"""Work in a forked child, which cannot hang, grow or print, and leaves nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

GROWTH = 6 << 30
WALL_FACTOR = 12  # beside others on two cores, a second of computing takes many


class TimedOutError(Exception):
    """The child used up its seconds."""


class CrashedError(Exception):
    """The child ended without an answer."""


def in_child(work: Callable[[], str], seconds: float) -> str:
    """What `work` returns. seconds: of computing; waiting may take WALL_FACTOR times as long.

    Raises TimedOutError and CrashedError.
    """
    descriptor, name = tempfile.mkstemp(prefix="ftune-mutation-")
    os.close(descriptor)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _work(work, seconds, Path(name))
    try:
        _, status = os.waitpid(child, 0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        answer = Path(name).read_text("utf-8")
        Path(name).unlink()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM):
        raise TimedOutError
    if not answer.startswith("="):
        raise CrashedError(answer or f"status {status}")
    return answer.removeprefix("=")


def _work(work: Callable[[], str], seconds: float, answer: Path) -> NoReturn:
    try:
        os.setsid()
        _bound(seconds)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        answer.write_text(f"={work()}", "utf-8")
    except BaseException:
        answer.write_text(traceback.format_exc(), "utf-8")
    finally:
        os._exit(0)


def allow(seconds: float) -> None:
    """From now on the process may compute for so long."""
    most = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time() + seconds) + 1
    soft = soft if most == resource.RLIM_INFINITY else min(soft, most)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, most))


def _bound(seconds: float) -> None:
    """The kernel ends it, whatever it does: no handler in Python is needed."""
    for kind in (signal.SIGXCPU, signal.SIGALRM, signal.SIGTERM):
        signal.signal(kind, signal.SIG_DFL)
    signal.alarm(int(seconds * WALL_FACTOR) + 1)
    allow(seconds)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * resource.getpagesize() + GROWTH
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
