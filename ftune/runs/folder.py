"""The run folder: what a run leaves behind, by name."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from ftune.errors import CheckpointError, LockedError, RequestError
from ftune.record import Record, strict
from ftune.runs.files import read_json, sync_folder, write_atomic, write_json
from ftune.runs.lock import NAME, Lock, busy
from ftune.runs.process import alive, identity
from ftune.runs.run_record import RunRecord, Summary
from ftune.security.limits import documents
from ftune.security.limits.memory import check
from ftune.security.redact import redact_tree


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run, and the small files that describe it.

    lock: of a folder that is written; readers have none. As a context manager it is given back.
    """

    path: Path
    lock: Lock | None = field(default=None, compare=False, repr=False)

    @classmethod
    def place(cls, command: str, stem: str, out: Path | None, parent: Path) -> Path:
        """Where a new run goes: `out`, or `parent/<command>-<stem>-<UTC time>-<hash>`.

        Raises RequestError where something is there already.
        """
        if out is None:
            time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            out = parent / f"{command}-{stem}-{time}-{secrets.token_hex(2)}"
        elif out.exists() and not (out.is_dir() and _is_empty(out)):
            raise _taken(out)
        return out

    @classmethod
    def create(cls, path: Path, config: str, **facts: Any) -> RunFolder:
        """Makes the folder with config.yaml and run.json, all at once, and returns it locked.

        Killed before, there is none. Raises RequestError where it cannot be made.
        """
        beside = path if path.exists() else path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            beside.mkdir(parents=True, exist_ok=True)
            with Lock.take(beside, path) as lock:
                if beside == path and not _is_empty(path):
                    raise _taken(path)
                new = cls(beside)
                new.write_config(config)
                new.describe(**facts)
                beside.replace(path)
                sync_folder(path.parent)
                return cls(path, lock.moved(path))
        except OSError as error:
            if beside != path:
                shutil.rmtree(beside, ignore_errors=True)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
                raise _taken(path) from None
            raise RequestError(f"cannot create the run folder {path}: {error.strerror}") from None

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run. Raises RequestError for a folder that is none."""
        if not (path / "run.json").is_file():
            what = "no such folder" if not path.exists() else "not a run folder (no run.json)"
            raise RequestError(f"{path}: {what}; `ftune runs` lists the runs")
        _check_links(path)
        return cls(path)

    def locked(self) -> RunFolder:
        """The folder with a lock: itself if it has one, else as soon as nobody else writes it.

        Raises LockedError where another process does. Its number in run.json is asked first, as
        version 0.1 and file systems without locks have nothing else.
        """
        if self.lock is not None and self.lock.held:
            return self
        facts = self.facts() if (self.path / "run.json").exists() else {}
        if facts.get("status") == "running":
            raise LockedError(f"{self.path} {busy(facts)}")
        try:
            return replace(self, lock=Lock.take(self.path))
        except FileNotFoundError:
            raise RequestError(f"{self.path} was deleted meanwhile") from None

    def release(self) -> None:
        """Gives the lock back, if there is one."""
        if self.lock is not None:
            self.lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.release()

    @property
    def note(self) -> str:
        """What the user should know of the lock; empty where there is nothing."""
        return self.lock.note if self.lock is not None else ""

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    def describe(self, **facts: Any) -> None:
        """Adds facts to run.json; beside our own process number, what else tells who we are."""
        file = self.path / "run.json"
        known = _mapping(file) if file.exists() else {}
        if "pid" in facts:
            facts["process"] = identity() if facts["pid"] == os.getpid() else None
        write_json(file, {**known, **redact_tree(facts)})

    def facts(self) -> dict[str, Any]:
        """run.json; a run whose process is gone is reported as interrupted, not as running."""
        file = self.path / "run.json"
        facts = _mapping(file)
        Record(facts, file).object("process", None)
        if facts.get("status") == "running" and not alive(facts, self.path):
            facts["status"] = "interrupted"
        return facts

    @property
    def record(self) -> RunRecord:
        """The facts that a continuation depends on. Raises CheckpointError for a damaged file."""
        return RunRecord.parse(self.facts(), self.path / "run.json")

    def write_config(self, text: str) -> None:
        write_atomic(self.config_file, text.encode())

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        write_json(self.path / "summary.json", strict(redact_tree(summary)))

    def write_profile(self, profile: Mapping[str, Any]) -> None:
        """profile.json: what each column of the data holds."""
        write_json(self.path / "profile.json", redact_tree(profile))

    @property
    def summary(self) -> Summary:
        """How the run ended. Raises CheckpointError for a damaged file."""
        return Summary.parse(self.summary_json(), self.path / "summary.json")

    def summary_json(self) -> dict[str, Any]:
        """summary.json, or an empty mapping for a run that has not ended."""
        file = self.path / "summary.json"
        return dict(strict(_mapping(file))) if file.exists() else {}


class Metrics:
    """metrics.jsonl: one object a line, appended as the run goes."""

    def __init__(self, path: Path, step: int = -1) -> None:
        """Continues at `step`: lines of later steps, from before an interruption, are dropped."""
        lines = [line for line in _lines(path) if line["step"] <= step]
        write_atomic(path, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._file = path.open("a", encoding="utf-8")

    def write(self, **values: Any) -> None:
        self._file.write(json.dumps(values) + "\n")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole line of a metrics.jsonl."""
    return _lines(path)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    check(str(path), 8 * path.stat().st_size, kind=CheckpointError)
    lines = []
    for text in path.read_bytes().splitlines():
        try:
            line = documents.loads(text, str(path))
        except documents.DamagedError:  # the line that was being written when the process died
            break
        if not isinstance(line, dict) or not isinstance(line.get("step"), int):
            break
        lines.append(line)
    return lines


def _mapping(path: Path) -> dict[str, Any]:
    """A file of facts. Raises CheckpointError where it is damaged."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: damaged: no mapping of facts")
    return content


def _is_empty(folder: Path) -> bool:
    """Whether a folder is free for a run: a lock may be left of one that was killed."""
    return all(entry.name == NAME for entry in folder.iterdir())


def _taken(path: Path) -> RequestError:
    return RequestError(f"{path} exists already; choose another --out, or `ftune resume {path}`")


def _check_links(path: Path) -> None:
    """Raises RequestError for a link out of the folder: what is continued would write there."""
    whole = path.resolve()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            inner = Path(folder, name)
            if inner.is_symlink() and not inner.resolve().is_relative_to(whole):
                raise RequestError(
                    f"{inner} is a link to {inner.resolve()}, outside the run folder; move what "
                    "it points at into the folder"
                )
