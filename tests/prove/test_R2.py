"""R2: each sample once an epoch; order and augmentation derive from (seed, epoch, row).

There are no worker processes: batches are made when asked for, or one step ahead in a thread.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kinds import kinds, write
from support.ledger import Ledger
from support.streams import (
    Stateful,
    from_the_global_generator,
    parts_of,
    streams,
    unlike_in_parts,
    unseen,
)

pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = ("table", "padded texts", "packed texts", "images")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("kinds")
    write(found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_one_stream(kind: str, place: Path, tmp_path: Path, ledger: Ledger) -> None:
    compared, differ = streams(kinds(place)[kind], tmp_path, 1)
    ledger.counted("R2", compared, differ, f"steps, {kind}: both ways, with interruptions")


@pytest.mark.parametrize("kind", KINDS)
def test_once_an_epoch(kind: str, place: Path, ledger: Ledger) -> None:
    parts, epochs = parts_of(kinds(place)[kind]), 50
    rows = epochs * len(parts.dataset.train)
    ledger.counted("R2", rows, unseen(parts, epochs), f"rows, {kind}: once an epoch, any order")


@pytest.mark.parametrize("kind", KINDS)
def test_in_parts(kind: str, place: Path, ledger: Ledger) -> None:
    parts = parts_of(kinds(place)[kind])
    differ = unlike_in_parts(parts, 20)
    ledger.counted("R2", 20, differ, f"steps, {kind}: micro-batches in two parts")


def test_control_order(
    place: Path, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftune.assembly.build.Batches", Stateful)
    found = streams(kinds(place)["table"], tmp_path, 1)[1]
    ledger.control("R2", found > 0, "an order from a stateful stream")


def test_control_augmentation(
    place: Path, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_the_global_generator(monkeypatch)
    found = streams(kinds(place)["images"], tmp_path, 1)[1]
    ledger.control("R2", found > 0, "augmentations from torch's generator")


def test_control_once(place: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.assembly.build.Batches", Stateful)
    ledger.control("R2", unseen(parts_of(kinds(place)["table"]), 2) > 0, "rows drawn anew")
