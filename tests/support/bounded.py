"""What a piece of work costs and how it ends, seen from a process of its own."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ftune.cli import app
from ftune.errors import FtuneError
from support.apart import only_in_a_child

SECONDS = 2.0
GROWTH = 500_000_000
ROOM = 4 * 10**9
"""Bytes that a child can address beyond its start, so that no bomb hits the machine."""
LONGEST = 30
"""Seconds of the clock after which a child is killed: other processes may take the processor."""


@dataclass(frozen=True)
class Seen:
    """end: `refused` (an FtuneError, or exit 2), `done`, or what went wrong. seconds: of the
    processor. grown: bytes of memory beyond the start, at most."""

    end: str
    said: str
    seconds: float
    grown: int

    @property
    def faults(self) -> list[str]:
        """What the promise does not allow."""
        found = [] if self.end in ("refused", "done") else [f"{self.end}: {self.said[:300]}"]
        found += [f"{self.seconds:.1f} s"] if self.seconds > SECONDS else []
        return found + ([f"{self.grown // 10**6:,} MB"] if self.grown > GROWTH else [])


def warm() -> None:
    """Imports what the work would import, so that its own cost is what is measured."""
    import gguf  # noqa: F401
    import PIL.Image
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import tokenizers  # noqa: F401
    import transformers

    from ftune.commands import resume, runs, sweep, train  # noqa: F401
    from ftune.data import SOURCES, TRANSFORMS
    from ftune.models import LAYERS, MODELS
    from ftune.optim import OPTIMIZERS, SCHEDULES
    from ftune.tasks import TASKS

    PIL.Image.init()
    for table in (SOURCES, TRANSFORMS, LAYERS, MODELS, OPTIMIZERS, SCHEDULES, TASKS):
        assert [table[name] for name in table]
    for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer", "LlamaModel"):
        assert getattr(transformers, name)


def observed(work: Callable[[], Any]) -> Seen:
    """Runs `work` in a fork of this process and says what became of it."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _report(work, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        content = told.read()
    _, status, used = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Seen(f"died of {name}", "", used.ru_utime + used.ru_stime, 0)
    found: Seen = pickle.loads(content)
    return found


def _report(work: Callable[[], Any], theirs: int) -> None:
    """In the child: never returns."""
    only_in_a_child()
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _pages() * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LONGEST)
    before = resource.getrusage(resource.RUSAGE_SELF)
    end, said = ending(work)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = sum(getattr(after, n) - getattr(before, n) for n in ("ru_utime", "ru_stime"))
    seen = Seen(end, said, seconds, 1024 * (after.ru_maxrss - before.ru_maxrss))
    os.write(theirs, pickle.dumps(seen))
    os._exit(0)


def ending(work: Callable[[], Any]) -> tuple[str, str]:
    """How a piece of work ended, and its last words."""
    try:
        work()
    except FtuneError as error:
        return "refused", str(error)[:2000]
    except BaseException as error:
        return f"raised {type(error).__name__}", (str(error).splitlines() or [""])[0][:500]
    return "done", ""


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0])


def command(*words: str) -> Callable[[], None]:
    """`ftune …` in the process; exit 2 is a refusal, exit 0 is done, all else is raised."""

    def work() -> None:
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if result.exit_code == 2:
            raise FtuneError(result.stderr)
        assert result.exit_code == 0, f"exit {result.exit_code}: {result.stderr[-300:]}"

    return work


def faults_of(table: Mapping[str, Callable[[Path], Callable[[], Any]]], place: Path) -> list[str]:
    """In words, what each entry of a table does that the promise does not allow."""
    found = []
    for number, (name, make) in enumerate(table.items()):
        folder = place / "bombs" / str(number)
        folder.mkdir(parents=True)
        seen = observed(make(folder))
        found += [f"{name}: {', '.join(seen.faults)}"] if seen.faults else []
        shutil.rmtree(folder)
    return found


def unguarded(monkeypatch: Any) -> None:
    """Takes the guards away, as if nobody had thought of them."""
    from ftune.assembly import structure
    from ftune.data.sources import arrow, json_faults
    from ftune.security import untrusted_files as foreign
    from ftune.security.limits import documents, memory

    monkeypatch.setattr(documents, "levels", lambda _: 0)
    monkeypatch.setattr(documents, "nesting", lambda _: (0, 0))
    monkeypatch.setattr(json_faults, "nesting", lambda _: (0, 0))
    monkeypatch.setattr(memory, "available", lambda: 2**62)
    monkeypatch.setattr(arrow, "MOST_COLUMNS", 2**62)
    monkeypatch.setattr(foreign, "loaded", lambda _, content: content)
    monkeypatch.setattr(structure, "weighed", contextlib.nullcontext)
