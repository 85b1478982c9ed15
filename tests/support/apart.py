"""Whatever changes the process – limits, signals, working directory – is tried in a fork of it.

`./scripts/test >log` once died at 56 %: a test forbade large files, and the log was one.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
TESTS = "FTUNE_TESTS_PROCESS"
"""Variable with the number of pytest's own process; tests/conftest.py sets it."""
LONGEST = 600
"""Seconds of the clock after which a child is killed."""


def only_in_a_child() -> None:
    """Fails in pytest's own process; stands where something of the process is changed."""
    assert os.environ.get(TESTS) != str(os.getpid()), "this must run in a child: support.apart"


def apart(work: Callable[[], Result], folder: Path | None = None) -> Result:
    """Runs `work` in a fork of this process, in `folder`, and returns its result (pickled).

    Raises AssertionError with the traceback of what it raised.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _report(work, folder, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    assert content, f"the child ended with {os.waitstatus_to_exitcode(status)}"
    done, result = pickle.loads(content)
    if not done:
        raise AssertionError(f"in a child:\n{result}")
    answer: Result = result
    return answer


def _report(work: Callable[[], Result], folder: Path | None, theirs: int) -> None:
    """In the child: never returns, so that nothing of pytest's is done twice."""
    try:
        _end_after(LONGEST)
        try:
            if folder is not None:
                _move(folder)
            content = pickle.dumps((True, work()))
        except BaseException:
            content = pickle.dumps((False, traceback.format_exc()))
        with os.fdopen(theirs, "wb") as pipe:
            pipe.write(content)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _end_after(seconds: int) -> None:
    """SIGALRM ends the process, whatever hangs."""
    only_in_a_child()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


def limit_files(size: int) -> None:
    """The kernel refuses to write files beyond `size` bytes, as on a full disk."""
    only_in_a_child()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _move(folder: Path) -> None:
    """Changes the working directory."""
    only_in_a_child()
    os.chdir(folder)
