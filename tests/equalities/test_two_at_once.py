"""One folder, one writer: who comes second is told so, and nothing of the first is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import racing
from support.again import configured, prepare, run_kind
from support.racing import Noting, faults_of, goes_on_unlocked, met, race
from support.trainings import QUIET, undisturbed

from ftune.commands.evaluate import evaluate
from ftune.commands.export import export
from ftune.commands.predict import predict
from ftune.commands.rerun import rerun
from ftune.commands.resume import resume
from ftune.commands.runs import compare, runs
from ftune.errors import LockedError
from ftune.predictor import Sampling
from ftune.runs import lock
from ftune.runs.base import load_base
from ftune.runs.folder import RunFolder
from ftune.runs.lock import Lock
from ftune.schema.root import LANGUAGE

SAMPLING = Sampling(1, 0.0, None, None, 0)


def test_two_resumes_of_one_run(tmp_path: Path) -> None:
    """A few of the 200 pairs of `scripts/prove W1`."""
    racing.whole_run(tmp_path / "whole")
    racing.interrupted_run(tmp_path / "parts")
    faults, meetings = [], 0
    for number in range(4):
        ended = race(tmp_path / "parts", tmp_path / f"r{number}")
        faults += faults_of(ended, tmp_path / f"r{number}", tmp_path / "whole")
        meetings += met(ended[1])
    assert faults == []
    assert meetings, "never both at once"


def test_control_without_a_lock_something_is_lost(tmp_path: Path) -> None:
    racing.whole_run(tmp_path / "whole")
    racing.interrupted_run(tmp_path / "parts")
    for number in range(4):
        out = tmp_path / f"r{number}"
        if faults_of(race(tmp_path / "parts", out, goes_on_unlocked), out, tmp_path / "whole"):
            return
    pytest.fail("four pairs without a lock, and nothing was lost")


def test_two_resumes_of_one_sweep(tmp_path: Path) -> None:
    racing.whole_sweep(tmp_path / "whole")
    racing.interrupted_sweep(tmp_path / "parts")
    ended = race(tmp_path / "parts", tmp_path / "r")
    assert faults_of(ended, tmp_path / "r", tmp_path / "whole") == []


def test_a_finished_run_has_no_lock_and_nothing_to_continue(tmp_path: Path) -> None:
    racing.whole_run(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    folder, note = RunFolder.open(tmp_path / "run"), tmp_path / "said"
    assert resume(folder, False, Noting(note)) == folder.summary_json()
    assert note.read_text(encoding="utf-8").startswith(f"{folder.path} is done; ")
    note.unlink()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_trial_that_is_resumed_by_itself_stops_its_sweep(tmp_path: Path) -> None:
    """And the sweep goes on once the trial is free again."""
    racing.interrupted_sweep(tmp_path / "s")
    trial = RunFolder(tmp_path / "s" / "trials" / "0001")
    trial.describe(status="interrupted")
    study = tmp_path / "s" / "study.db"
    _open_again(study, 1)
    with trial.locked(), pytest.raises(LockedError, match="trials/0001 is being written"):
        resume(RunFolder.open(tmp_path / "s"), False, QUIET)
    assert resume(RunFolder.open(tmp_path / "s"), False, QUIET)["status"] == "done"


def _open_again(study: Path, number: int) -> None:
    """As if the sweep had been killed before it noted the end of a trial."""
    import sqlite3

    with sqlite3.connect(study) as base:
        base.execute("UPDATE trials SET state = 'RUNNING' WHERE number = ?", (number,))
        base.execute(
            "DELETE FROM trial_values WHERE trial_id = "
            "(SELECT trial_id FROM trials WHERE number = ?)", (number,),
        )  # fmt: skip
    base.close()


# Whoever writes a run folder has its lock. Told by the interpreter itself: every file that is
# opened for writing, renamed, deleted or made below a folder.

_watch: list[Callable[[str], None]] = []
_hooked = False


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if not _watch:
        return
    if event == "open":
        writes = bool(int(str(given[2] or 0)) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        changed = [given[0]] if writes or set(str(given[1] or "")) & set("wax+") else []
    else:
        changed = list(given[:2]) if event == "os.rename" else [given[0]]
        changed = changed if event in ("os.rename", "os.remove", "os.mkdir") else []
    for path in changed:
        if isinstance(path, str | os.PathLike):
            _watch[-1](os.fspath(path))


@contextmanager
def unlocked_writes(below: Path) -> Iterator[list[str]]:
    """Collects what is written into a run below a folder while nobody has the run's lock."""
    global _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    seen: list[str] = []

    def look(name: str) -> None:
        path = Path(os.path.abspath(name))  # noqa: PTH100
        if not path.is_relative_to(below) or path.name == lock.NAME:
            return
        run = _run_of(path.relative_to(below))
        if run is not None and path != below / run and not _is_held(below / run):
            seen.append(str(path.relative_to(below)))

    _watch.append(look)
    try:
        yield seen
    finally:
        _watch.remove(look)


def _run_of(path: Path) -> Path | None:
    """The folder of the run that a file belongs to: a trial's is its own."""
    parts = path.parts
    depth = parts.index("trials") + 2 if "trials" in parts else 1
    return Path(*parts[:depth]) if len(parts) > depth else None


def _is_held(run: Path) -> bool:
    return any(held.folder == run and held.held for held in list(lock._held))


@pytest.mark.parametrize("kind", ["table", "lr-find", "sweep"])
def test_what_writes_a_run_has_its_lock(kind: str, tmp_path: Path) -> None:
    prepare(tmp_path)
    place = tmp_path / "runs"
    place.mkdir()
    with unlocked_writes(place) as seen:
        run_kind(kind, configured(kind, tmp_path), place / "run")
    assert seen == []
    assert list(place.rglob(lock.NAME)) == [] and not lock._held


def test_what_continues_a_run_has_its_lock(tmp_path: Path) -> None:
    racing.interrupted_run(tmp_path / "run")
    racing.interrupted_sweep(tmp_path / "sweep")
    with unlocked_writes(tmp_path) as seen:
        resume(RunFolder.open(tmp_path / "run"), False, QUIET)
        resume(RunFolder.open(tmp_path / "sweep"), False, QUIET)
    assert seen == []


def test_control_an_unlocked_write_is_seen(tmp_path: Path) -> None:
    racing.interrupted_run(tmp_path / "run")
    with unlocked_writes(tmp_path) as seen:
        RunFolder(tmp_path / "run").describe(status="done")
    assert any("run.json" in name for name in seen)


def test_readers_take_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They work while the run is written, and where its folder may not be."""
    prepare(tmp_path)
    config = configured("table", tmp_path)
    undisturbed(config, tmp_path / "run")
    take, taken = Lock.take, []

    def noted(folder: Path, shown: Path | None = None) -> Lock:
        taken.append(folder)
        return take(folder, shown)

    with RunFolder(tmp_path / "run").locked():
        monkeypatch.setattr(Lock, "take", noted)
        base = load_base(tmp_path / "run")
        evaluate(base, [], "val", QUIET)
        predict(base, tmp_path / "table.csv", tmp_path / "p.csv", None, SAMPLING, QUIET)
        runs(tmp_path, QUIET)
        compare([tmp_path / "run", tmp_path / "run"], QUIET)
        export(base, "pt", tmp_path / "m.pt", QUIET)
        assert rerun(RunFolder(tmp_path / "run"), tmp_path / "again", QUIET)["identical"]
    assert taken and tmp_path / "run" not in taken
    assert LANGUAGE.load(tmp_path / "again" / "config.yaml")
