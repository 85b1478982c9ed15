"""Starts the process that is guided by coverage, again and again until its time is over."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from support.fuzz import Hunt

TESTS = Path(__file__).resolve().parents[1]
INSTALLED = find_spec("atheris") is not None
START = 60
"""Seconds of the clock for the imports of a process, and for the last of its inputs."""


def guided(target: str, folder: Path, seconds: float, first: bool = False) -> Hunt:
    """What was tried and found in some time, imports not counted; `first`: until one is found."""
    (folder / "corpus").mkdir(parents=True)
    found, left = Hunt(), seconds
    while left >= 1:
        tried = found.count
        code, spent = _once(target, folder, left, *(["--first"] if first else []))
        left -= spent
        found = _told(folder)
        assert found.count > tried, f"nothing was tried: {_last_words(folder)}"
        if code == 0 or (first and found.findings):
            break
    return found


def _once(target: str, folder: Path, seconds: float, *more: str) -> tuple[int, float]:
    """One process; (its exit code, seconds since its first input). It ends early where it dies."""
    (folder / "began").unlink(missing_ok=True)
    limits = [f"-max_total_time={int(seconds)}", f"-seed={7 + len(_deaths(folder))}"]
    command = [sys.executable, "-m", "support.coverage_fuzz", target, str(folder), *limits, *more]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "said").open("wb") as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                              env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
                              timeout=seconds + START)  # fmt: skip
    began = folder / "began"
    return done.returncode, time.time() - began.stat().st_mtime if began.exists() else seconds


def _told(folder: Path) -> Hunt:
    """The notes of the processes so far, and the inputs that ended one."""
    assert (folder / "counts").exists(), f"it never began: {_last_words(folder)}"
    count, refused = struct.unpack("<QQ", (folder / "counts").read_bytes())
    found = Hunt(count, refused)
    for what, number, data in _lines(folder):
        found.findings.setdefault(f"{what} {_spelled(data)}", number)
    for file in _deaths(folder):
        kind = file.name.split("-")[1]  # crash, timeout or oom: what libFuzzer calls it
        found.findings.setdefault(f"the process ended: {kind} {_spelled(file.read_bytes())}", count)
    return found


def _lines(folder: Path) -> Iterator[tuple[str, int, bytes]]:
    file, known = folder / "findings", set[str]()
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        what, number, data = json.loads(line)
        if what not in known:
            known.add(what)
            yield what, number, bytes.fromhex(data)


def _deaths(folder: Path) -> list[Path]:
    return [file for kind in ("crash", "timeout", "oom") for file in folder.glob(f"died-{kind}-*")]


def _spelled(data: bytes) -> str:
    """An input so that it can be made again: the folder is gone when the table is printed."""
    return f"[zlib+b85 {base64.b85encode(zlib.compress(data, 9)).decode()}]"


def _last_words(folder: Path) -> str:
    return (folder / "said").read_text(encoding="utf-8", errors="replace")[-2000:]
