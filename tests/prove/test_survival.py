"""R1, C1, C2, C4, W1 of the promises with their full counts (minutes, not seconds).

FTUNE_PROVE_COUNT scales every count; 1 is the full one, 0.05 a quick look.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from support.children import chain, kill_at_random, launch, save_in_place_forever, storm, weights
from support.killed import check_sweep, kill_sweep
from support.sweeps import GRID, HALVING, run_sweep
from support.trainings import assert_same, configuration, trace, undisturbed

from ftune.errors import CheckpointError
from ftune.runs import checkpoint

SHARE = float(os.environ.get("FTUNE_PROVE_COUNT", "1"))
Note = Callable[[str], None]


def counted(full: int) -> int:
    return max(2, round(full * SHARE))


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """What was counted, printed after the last proof."""
    rows: dict[str, str] = {}
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print()  # noqa: T201
        for name, counts in rows.items():
            print(f"{name:<28} {counts}")  # noqa: T201


@pytest.fixture
def note(table: dict[str, str], request: pytest.FixtureRequest) -> Note:
    """Takes down the counts of a proof."""

    def take(counts: str) -> None:
        table[request.node.name.removeprefix("test_")] = counts

    return take


OFTEN = ("train.checkpoint_every={steps: 2}", "train.epochs=20")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("prove") / "run"
    undisturbed(configuration(*OFTEN), out)
    return trace(out)


def chains(
    whole: dict[str, Any], folder: Path, kills: int, numbers: tuple[int, ...], seed: int
) -> int:
    """Chains of 5 signals until `kills` have hit; each must end in the undisturbed bits."""
    hits = 0
    while hits < kills:
        out = folder / f"run-{seed}"
        hits += chain(out, OFTEN, 5, 1.2, seed, numbers)
        assert_same(whole, trace(out))
        seed += 1
    return hits


def test_r1_exact_resume(whole: dict[str, Any], tmp_path: Path, note: Note) -> None:
    hits = chains(whole, tmp_path, counted(200), (signal.SIGKILL,), 1000)
    note(f"{hits} SIGKILLs, all bits equal")


def test_c4_signals(whole: dict[str, Any], tmp_path: Path, note: Note) -> None:
    hits = chains(whole, tmp_path, counted(100), (signal.SIGINT, signal.SIGTERM), 2000)
    note(f"{hits} SIGINT or SIGTERM, all bits equal")


def test_c1_atomic(tmp_path: Path, note: Note) -> None:
    kills, unreadable = storm(tmp_path / "c", counted(500), seed=5)
    note(f"{kills} SIGKILLs in save, {unreadable} unreadable")
    assert unreadable == 0


def test_c1_control_in_place(tmp_path: Path, note: Note) -> None:
    """Overwriting one file must lose what it held, or the storm proves nothing."""
    dice, lost, kills = random.Random(6), 0, counted(50)
    for number in range(kills):
        folder = tmp_path / str(number)
        child = launch(save_in_place_forever, folder)
        while not (folder / "model.pt").exists():
            pass
        kill_at_random(child, 0.05, dice)
        try:
            torch.load(folder / "model.pt", weights_only=True)
        except Exception:  # whatever torch says to half a file
            lost += 1
    note(f"{kills} SIGKILLs in place, {lost} unreadable")
    assert lost > 0


def test_c2_damage(tmp_path: Path, note: Note) -> None:
    path = checkpoint.save(tmp_path, weights(1), 1)
    dice, missed = random.Random(7), 0
    names = sorted(path.iterdir())
    flips, cuts = counted(1000), counted(400)
    for number in range(flips + cuts):
        file = dice.choice(names)
        content = file.read_bytes()
        broken = bytearray(content)
        if number < flips:
            broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        else:
            del broken[dice.randrange(len(broken)) :]
        file.write_bytes(bytes(broken))
        try:
            checkpoint.load(path)
            missed += 1
        except CheckpointError:
            pass
        file.write_bytes(content)
    note(f"{flips} flips, {cuts} truncations, {missed} missed")
    assert missed == 0


@pytest.mark.parametrize("block", [GRID, HALVING], ids=["grid", "halving"])
def test_w1_sweeps(block: dict[str, Any], tmp_path: Path, note: Note) -> None:
    run_sweep(tmp_path / "whole", block)
    hits, seed = 0, 3000
    while hits < counted(50):
        hits += kill_sweep(tmp_path / f"s{seed}", block, 6, seed)
        check_sweep(tmp_path / f"s{seed}", tmp_path / "whole")
        seed += 1
    note(f"{hits} SIGKILLs, no trial lost, none open, all bits equal")


def test_p1_same_bytes(whole: dict[str, Any], tmp_path: Path, note: Note) -> None:
    times = counted(20)
    for number in range(times):
        undisturbed(configuration(*OFTEN), tmp_path / str(number))
        assert_same(whole, trace(tmp_path / str(number)))
    note(f"{times} of {times} equal")
