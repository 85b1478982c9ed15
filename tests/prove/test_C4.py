"""C4: SIGTERM and SIGINT save the state at the step boundary; a second Ctrl-C leaves at once."""

from __future__ import annotations

import itertools
import os
import random
import signal
from pathlib import Path

import yaml
from support.chains import train_or_resume
from support.children import DONE, launch
from support.commands import reached, start
from support.ledger import Ledger, full
from support.signalled import RARE, deaf, leave_at_once, signal_once
from support.trainings import EVERYTHING, assert_same, configuration, trace, undisturbed

from ftune.runs.folder import RunFolder


def test_random_instants(part: int, tmp_path: Path, ledger: Ledger) -> None:
    """Chains of signals; only what a signal saved lets them come to the undisturbed end."""
    undisturbed(configuration(*RARE.changes), tmp_path / "whole")
    whole, dice = trace(tmp_path / "whole"), random.Random(2000 + part)
    hits, faults = 0, []
    for number in itertools.count():
        if hits >= full(100):
            break
        out = tmp_path / f"run{number}"
        for _ in range(4):
            said = signal_once(out, dice)
            hits += said != "done"
            faults += [said] if said not in ("", "done") else []
        last = launch(train_or_resume, out, RARE)
        last.join(120)
        assert last.exitcode == DONE
        assert_same(whole, trace(out))
    ledger.counted("C4", hits, len(faults), f"SIGINT or SIGTERM, same bits {set(faults) or ''}")


def test_second_signal(tmp_path: Path, ledger: Ledger) -> None:
    dice, count = random.Random(4), full(20)
    seconds = [leave_at_once(tmp_path / str(n), dice) for n in range(count)]
    late = sum(s > 1 for s in seconds)
    ledger.counted("C4", count, late, f"second Ctrl-C inside a step, at most {max(seconds):.2f} s")


def test_the_command(tmp_path: Path, ledger: Ledger) -> None:
    """`ftune optimize` as a user starts it, then `ftune resume`, each stopped by a signal."""
    file, out = tmp_path / "c.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(EVERYTHING))
    words = ("train.epochs=400", "~train.early_stop", "train.checkpoint_every={steps: 8}")
    child, failures, count = start("optimize", str(file), "--out", str(out), *words), 0, full(6)
    for turn in range(count):
        number = (signal.SIGTERM, signal.SIGINT)[turn % 2]
        reached(out, 100 * turn + 8, child)
        os.kill(child.pid, number)
        said = child.communicate(timeout=60)[1]
        fine = child.returncode == 128 + number and "Traceback" not in said
        failures += not (fine and RunFolder(out).facts()["status"] == "interrupted")
        child = start("resume", str(out))
    child.kill()
    child.communicate()
    ledger.counted("C4", count, failures, "signals to the command itself")


def test_control(tmp_path: Path, ledger: Ledger) -> None:
    dice, count = random.Random(5), full(10)
    said = [signal_once(tmp_path / str(n), dice, deaf, 0.1) for n in range(count)]
    hit = [fault for fault in said if fault != "done"]
    caught = bool(hit) and all("not saved" in fault for fault in hit)
    ledger.control("C4", caught, f"nobody listens: {hit[0]}")
