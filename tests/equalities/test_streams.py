"""One stream of samples, however batches are made and whatever interrupts (promise R2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.kinds import images, write
from support.streams import (
    Stateful,
    from_the_global_generator,
    parts_of,
    streams,
    unlike_in_parts,
    unseen,
)
from support.trainings import EVERYTHING

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    found = tmp_path_factory.mktemp("kinds")
    write(found)
    return found


def test_tables(tmp_path: Path) -> None:
    parts = parts_of(EVERYTHING)
    assert (unseen(parts, 5), unlike_in_parts(parts, 5)) == (0, 0)
    assert streams(EVERYTHING, tmp_path, 2)[1] == 0


def test_images(place: Path, tmp_path: Path) -> None:
    assert streams(images(place), tmp_path, 2)[1] == 0


def test_control_a_stateful_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.assembly.build.Batches", Stateful)
    assert streams(EVERYTHING, tmp_path, 2)[1] > 0
    assert unseen(parts_of(EVERYTHING), 2) > 0


def test_control_a_stateful_augmentation(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_the_global_generator(monkeypatch)
    assert streams(images(place), tmp_path, 2)[1] > 0
