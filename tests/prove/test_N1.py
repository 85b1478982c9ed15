"""N1: numbers that are not finite are caught in their step; nothing is updated by it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from support.faulty import bad_at, begin, row_of_step, spoil_row, state_hash, stops
from support.ledger import Ledger, full

from ftune.engine import step as module
from ftune.engine.state import State
from ftune.runs import checkpoint
from ftune.training.train import train

KINDS = ("loss", "gradient", "input")


def clean_state(folder: Path, step: int, known: dict[int, dict[str, str]]) -> dict[str, str]:
    """The state of the undisturbed training after `step` updates."""
    if step not in known:
        run = begin(folder / f"clean-{step}")
        run.pause_at = step
        train(run)
        known[step] = state_hash(run.state)
    return known[step]


def injected(out: Path, dice: random.Random) -> tuple[int, str, str, dict[str, str], bool]:
    """(step, what was said, what should have been, the state, whether a bad step is the best)."""
    kind, bad = dice.choice(KINDS), dice.choice([math.nan, math.inf, -math.inf])
    run = begin(out)
    step = dice.randrange(1, run.parts.batches.steps_per_epoch)
    if kind == "input":
        number = spoil_row(run, row_of_step(run, step, dice.randrange(8)), bad)
        said, wanted = stops(run), f"training row {number}"
    else:
        with bad_at(step, kind, bad):
            said = stops(run)
        wanted = "the loss is" if kind == "loss" else "the gradient of"
    best = checkpoint.pointed(out / "checkpoints", "best")
    late = best is not None and int(best.name[5:]) > step
    return step, said, wanted, state_hash(run.state), late


def test_n1_caught(part: int, tmp_path: Path, ledger: Ledger) -> None:
    dice, known, failures = random.Random(11 + 1000 * part), dict[int, dict[str, str]](), 0
    for number in range(full(100)):
        step, said, wanted, state, late = injected(tmp_path / str(number), dice)
        told = said.startswith(f"step {step + 1}:") and wanted in said
        failures += not told or late or state != clean_state(tmp_path, step, known)
    ledger.counted("N1", full(100), failures, "NaN and Inf in loss, gradient, input")


def test_n1_control(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the look at the gradients, one that is not finite must be seen in the weights."""

    def trust(state: State, ok: bool) -> None:
        del state, ok

    monkeypatch.setattr(module, "_refuse", trust)
    run = begin(tmp_path / "run", "~train.clip_norm")
    with bad_at(3, "gradient", math.nan):
        stops(run)
    clean = clean_state(tmp_path, 3, {})
    ledger.control("N1", state_hash(run.state) != clean, "gradients that nobody looks at")


def test_n1_undisturbed(tmp_path: Path) -> None:
    """The same training, not disturbed, ends well."""
    assert stops(begin(tmp_path / "run")) == ""
