"""`--resume auto`, and what signals ask of a training."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.commands import CONFIG, FTUNE, environment, ftune

AUTO = ("optimize", "--out", "run", "--resume", "auto", "--json")
LONG = "train.epochs=4000"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [f"{i % 7},{i % 5},{'yes' if i % 7 > 3 else 'no'}" for i in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,label", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "ftune.yaml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


class Child:
    """A long training in a process of its own."""

    def __init__(self, folder: Path, *before: str, **given: Any) -> None:
        self.run = folder / "run"
        words = [*before, *FTUNE, "optimize", "--out", "run", LONG, "train.checkpoint_every=1000"]
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment(), text=True,
            **({"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | given),
        )  # fmt: skip
        self.until(lambda: (self.run / "checkpoints" / "latest.json").exists())

    def until(self, ready: Any) -> None:
        end = time.monotonic() + 60
        while not ready():
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.01)

    @property
    def step(self) -> int:
        latest = json.loads((self.run / "checkpoints" / "latest.json").read_text())
        return int(latest["step"])

    @property
    def status(self) -> str:
        return str(json.loads((self.run / "run.json").read_text())["status"])


@pytest.fixture
def child(place: Path) -> Iterator[Child]:
    found = Child(place)
    yield found
    found.process.kill()
    found.process.communicate()


def test_a_file_that_has_changed_meanwhile_is_refused(place: Path) -> None:
    child = Child(place)
    child.process.send_signal(signal.SIGTERM)
    child.process.communicate(timeout=60)
    assert child.process.returncode == 143
    said = ftune(place, *AUTO, "optimizer.lr=0.5", code=2).stderr
    assert "run was begun with other settings" in said
    assert "train.epochs: was 4000, is 2" in said and "optimizer.lr: was 0.01, is 0.5" in said
    assert said.count(": was ") == 2


def test_a_finished_one_is_left_alone(place: Path) -> None:
    first = json.loads(ftune(place, *AUTO).stdout)
    assert first["status"] == "done"
    again = ftune(place, *AUTO)
    assert json.loads(again.stdout) == first and "nothing to continue" in again.stderr
    assert "needs --out" in ftune(place, "optimize", "--resume", "auto", code=2).stderr
    assert "accepts auto" in ftune(place, *AUTO[:3], "--resume", "yes", code=2).stderr


def test_an_interrupted_one_goes_on(place: Path) -> None:
    child = Child(place)
    child.process.send_signal(signal.SIGINT)
    child.process.communicate(timeout=60)
    step = child.step
    words = (*AUTO, LONG, "train.checkpoint_every=1000")
    process = subprocess.Popen(
        [*FTUNE, *words], cwd=place, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while child.status != "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert f"continues at step {step:,}" in said and child.step > step


def test_usr1_saves_and_goes_on(child: Child) -> None:
    before = child.step
    time.sleep(0.3)
    child.process.send_signal(signal.SIGUSR1)
    child.until(lambda: child.step > before)
    saved = child.step
    assert (child.run / "checkpoints" / f"step-{saved:08}").is_dir()
    assert child.status == "running"
    child.process.send_signal(signal.SIGTERM)
    said, _ = child.process.communicate(timeout=60)
    assert child.process.returncode == 143 and child.step >= saved
    assert "as SIGUSR1 asked" in said


def test_hup_saves_and_ends(child: Child) -> None:
    child.process.send_signal(signal.SIGHUP)
    said, _ = child.process.communicate(timeout=60)
    assert child.process.returncode == 129 and child.status == "interrupted"
    assert "Continue with: ftune resume run" in said


def test_a_terminal_that_is_closed_saves_and_ends(place: Path) -> None:
    ours, theirs = pty.openpty()
    child = Child(place, stdout=theirs, stderr=theirs, stdin=theirs, start_new_session=True)
    os.close(theirs)
    os.close(ours)
    child.process.send_signal(signal.SIGHUP)
    child.process.wait(timeout=60)
    assert child.process.returncode == 129 and child.status == "interrupted"


def test_nohup_is_heeded(place: Path) -> None:
    child = Child(place, "nohup")
    child.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert child.process.poll() is None and child.status == "running"
    child.process.send_signal(signal.SIGTERM)
    child.process.communicate(timeout=60)
    assert child.process.returncode == 143
