"""The lock of a folder: one holder, named to who comes second, gone with its process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.holding import end_heir, hold

from ftune.errors import LockedError, RequestError
from ftune.runs import lock
from ftune.runs.files import write_json
from ftune.runs.folder import RunFolder
from ftune.runs.lock import Lock
from ftune.runs.process import identity


def test_one_at_a_time(tmp_path: Path) -> None:
    with Lock.take(tmp_path), pytest.raises(LockedError) as caught:
        Lock.take(tmp_path)
    assert caught.value.exit_code == 2
    words = str(caught.value)
    assert "\n" not in words and f"process {os.getpid()} on {platform.node()} since 20" in words
    assert list(tmp_path.iterdir()) == []
    Lock.take(tmp_path).release()


def test_given_back_where_nobody_has_it_any_more(tmp_path: Path) -> None:
    taken = Lock.take(tmp_path)
    taken.release()
    taken.release()
    Lock.take(tmp_path)  # not kept by anyone: free at once
    Lock.take(tmp_path).release()


def test_moved_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with Lock.take(tmp_path / "a") as first:
        (tmp_path / "a").rename(tmp_path / "b")
        second = first.moved(tmp_path / "b")
    with pytest.raises(LockedError):
        Lock.take(tmp_path / "b")
    second.release()
    assert list((tmp_path / "b").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ends_with_its_process(number: int, tmp_path: Path) -> None:
    """Also where a process that it forked lives on, and the file is left behind."""
    (tmp_path / "r").mkdir()
    child = hold(tmp_path / "r")
    with pytest.raises(LockedError, match=rf"process {child.pid} on "):
        Lock.take(tmp_path / "r")
    assert child.pid is not None
    os.kill(child.pid, number)
    child.join()
    assert (tmp_path / "r" / lock.NAME).exists()
    Lock.take(tmp_path / "r").release()
    end_heir(tmp_path / "r")


def test_control_a_forked_process_would_keep_it(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    child = hold(tmp_path / "r", forks_keep_it=True)
    child.kill()
    child.join()
    with pytest.raises(LockedError):
        Lock.take(tmp_path / "r")
    end_heir(tmp_path / "r")


def test_no_program_inherits_it(tmp_path: Path) -> None:
    with Lock.take(tmp_path) as taken:
        assert taken.descriptor is not None and not os.get_inheritable(taken.descriptor)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    Lock.take(tmp_path).release()
    child.communicate(b"\n")


def test_a_dead_holder_is_not_named(tmp_path: Path) -> None:
    """What a killed process noted, before the next one has noted itself."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    note = {"pid": dead.pid, "process": identity(), "since": "2026"}
    for content in (json.dumps(note), "", "[]", "{", "null", '{"pid": 1e999}'):
        with Lock.take(tmp_path):
            (tmp_path / lock.NAME).write_text(content)
            with pytest.raises(LockedError, match="by another process; wait"):
                Lock.take(tmp_path)


def test_left_behind_by_a_killed_one_it_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text("anything")
    Lock.take(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_the_holder_takes_the_file_away_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before, locked after: a lock on a file that nobody sees is none."""
    real = lock._lock
    calls: list[int] = []

    def late(descriptor: int) -> None:
        if not calls:
            (tmp_path / lock.NAME).unlink()
        calls.append(descriptor)
        real(descriptor)

    monkeypatch.setattr(lock, "_lock", late)
    with Lock.take(tmp_path):
        assert len(calls) == 2
        with pytest.raises(LockedError):
            Lock.take(tmp_path)


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_only_a_file_of_its_own(kind: str, tmp_path: Path) -> None:
    """A folder from elsewhere may name any file `.lock`; nothing is written into it."""
    folder, other = tmp_path / "f", tmp_path / "other"
    folder.mkdir()
    other.write_text("mine")
    file = folder / lock.NAME
    if kind == "link":
        file.symlink_to(other)
    elif kind == "hard link":
        file.hardlink_to(other)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises((RequestError, IsADirectoryError)):
        Lock.take(folder)
    assert other.read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number in run.json still keeps the second one out; the note comes once."""

    def none(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(lock, "_noted", set())
    folder = RunFolder(tmp_path)
    write_json(tmp_path / "run.json", {"status": "running", "pid": os.getppid()})
    with pytest.raises(LockedError, match=f"another process .process {os.getppid()}"):
        folder.locked()
    folder.describe(status="interrupted")
    with folder.locked() as own:
        assert "no locks on this file system" in own.note and os.strerror(number) in own.note
        assert own.locked() is own
    assert folder.locked().note == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json"]


def test_another_error_of_the_disk_is_not_taken_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output"):
        Lock.take(tmp_path)


def test_a_run_of_0_1_has_no_lock_but_a_number(tmp_path: Path) -> None:
    """While an older version writes it, and after that one was killed."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_json(tmp_path / "run.json", {"status": "running", "pid": child.pid})
    with pytest.raises(LockedError, match=rf"\(process {child.pid}\); wait for its end"):
        RunFolder.open(tmp_path).locked()
    child.communicate(b"\n")
    RunFolder.open(tmp_path).locked().release()


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    write_json(tmp_path / "r" / "run.json", {"status": "interrupted"})
    folder = RunFolder.open(tmp_path / "r")
    (tmp_path / "r" / "run.json").unlink()
    (tmp_path / "r").rmdir()
    with pytest.raises(RequestError, match="deleted meanwhile"):
        folder.locked()


def test_a_new_run_is_locked_from_its_first_instant(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "new", "", status="running"):
        with pytest.raises(LockedError):
            Lock.take(tmp_path / "new")
        with pytest.raises(LockedError):
            RunFolder.create(tmp_path / "new", "")
    with pytest.raises(RequestError, match="exists already"):
        RunFolder.create(tmp_path / "new", "")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["config.yaml", "run.json"]


def test_an_empty_folder_goes_to_one_of_two(tmp_path: Path) -> None:
    with Lock.take(tmp_path), pytest.raises(LockedError):
        RunFolder.create(tmp_path, "")
    (tmp_path / lock.NAME).write_text("left by a killed one")
    RunFolder.create(RunFolder.place("optimize", "", tmp_path, tmp_path), "", a=1).release()
    assert RunFolder(tmp_path).facts() == {"a": 1}


def test_asking_for_the_lock_is_no_sign_of_life(tmp_path: Path) -> None:
    """A run whose machine is gone is told by the age of its files; the lock has none of them."""
    facts = {"status": "running", "pid": 1, "process": identity() | {"host": "elsewhere"}}
    write_json(tmp_path / "run.json", facts)
    os.utime(tmp_path / "run.json", (time.time() - 7200,) * 2)
    for _ in range(2):
        RunFolder(tmp_path).locked().release()
