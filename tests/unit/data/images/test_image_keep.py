"""Decoded images on disk: found again, never stale, never half, never damaged."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftune.data.disk_cache import cache_folder
from ftune.data.images import decode, keep
from ftune.data.images.pixels import Pixels
from ftune.data.transforms.resize import Resize

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((4, 5), (3, 7), (6, 2))]


def made(place: Path | None) -> Pixels:
    return keep.keep(lambda: iter(IMAGES), len(IMAGES), place)


def assert_same(found: Pixels) -> None:
    assert found.sizes.tolist() == [[4, 5], [3, 7], [6, 2]] and found.largest == (6, 7)
    assert not found.alike
    taken = found.take(np.array([2, 0, 1, 2]))
    for image, row in zip(taken, (2, 0, 1, 2), strict=True):
        height, width = IMAGES[row].shape[:2]
        assert (image[:height, :width] == IMAGES[row]).all()
        assert image.astype(int).sum() == IMAGES[row].astype(int).sum()


def test_what_is_kept_is_found(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "key"
    assert keep.kept(place) is None
    first = made(place)
    assert_same(first)
    again = keep.kept(place)
    assert again is not None
    assert_same(again)
    assert isinstance(again.flat, np.memmap) and again.sha256 == first.sha256
    assert sorted(file.suffix for file in place.parent.iterdir()) == [".json", ".npy"]


def test_without_a_place_it_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = made(None)
    assert_same(inside)
    assert not isinstance(inside.flat, np.memmap)
    monkeypatch.setattr(keep, "available", lambda: 100)
    outside = made(None)
    assert_same(outside)
    assert isinstance(outside.flat, np.memmap) and outside.sha256 == inside.sha256


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_damage_is_found(tmp_path: Path, suffix: str, damage: str) -> None:
    place = tmp_path / "key"
    made(place)
    file = place.with_suffix(suffix)
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        at = content.index(b"sha256") + 14 if suffix == ".json" else len(content) - 20
        content[at] ^= 1
        file.write_bytes({"flip": bytes(content), "cut": bytes(content[:-3]), "empty": b""}[damage])
    assert keep.kept(place) is None
    assert_same(made(place))
    assert keep.kept(place) is not None


def test_lies_about_sizes_are_found(tmp_path: Path) -> None:
    place = tmp_path / "key"
    made(place)
    told = json.loads(place.with_suffix(".json").read_text())
    for sizes in ([[4, 5]], [[4, 5], [3, 7], [6, 3]], "x", [[2**40, 2**40]]):
        place.with_suffix(".json").write_text(json.dumps(told | {"sizes": sizes}))
        assert keep.kept(place) is None


def test_a_disk_that_refuses_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    found = made(tmp_path / "file" / "key")
    assert_same(found)
    assert "could not be kept" in found.notes[0] and str(tmp_path / "file") in found.notes[0]


def test_two_at_one_key_with_one_process_number(tmp_path: Path) -> None:
    """As in two containers with a common cache: one writes it whole while the other is at it."""
    place = tmp_path / "key"

    def slow() -> Iterator[Any]:
        yield IMAGES[0]
        assert_same(made(place))
        yield from IMAGES[1:]

    late = keep.keep(slow, 3, place)
    assert_same(late)
    again = keep.kept(place)
    assert late.notes == [] and again is not None
    assert_same(again)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".npy"]


def test_another_process_deletes_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder is too full for both; what is mapped stays."""
    monkeypatch.setattr(keep, "evict", lambda newest, _: newest.unlink())
    assert_same(made(tmp_path / "key"))


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in (("old.1-aa.tmp", 90_000), ("young.1-bb.tmp", 60)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    made(tmp_path / "key")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["key.json", "key.npy", "young.1-bb.tmp"]


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield IMAGES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep.keep(broken, 3, tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in ((30, "old"), (20, "older"), (10, "new")):
        made(tmp_path / name)
        os.utime(tmp_path / f"{name}.npy", (10**9 - age, 10**9 - age))
    assert keep.kept(tmp_path / "old") is not None  # being used makes it young
    size = (tmp_path / "old.npy").stat().st_size
    monkeypatch.setattr(keep, "LIMIT", 3 * size)
    made(tmp_path / "newest")
    assert {file.stem for file in tmp_path.iterdir()} == {"old", "new", "newest"}


def test_the_key_follows_files_and_shapes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"123")
    first = keep.key_of(files, [Resize(8)])
    assert keep.key_of(files, [Resize(8)]) == first
    assert keep.key_of(files[::-1], [Resize(8)]) != first
    assert keep.key_of(files, [Resize(9)]) != first
    assert keep.key_of(files, [Resize(8, "bicubic")]) != first
    state = files[0].stat()
    files[0].write_bytes(b"124")  # as large, and the time of before
    os.utime(files[0], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert files[0].stat().st_mtime_ns == state.st_mtime_ns
    assert keep.key_of(files, [Resize(8)]) != first


def test_the_folder_follows_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(True, "images") == tmp_path / "ftune" / "images"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder(True, "images") == Path.home() / ".cache" / "ftune" / "images"
    assert cache_folder("/somewhere", "images") == Path("/somewhere/images")
    assert cache_folder(False, "images") is None


def test_work_is_done_ahead_in_order_and_bounded() -> None:
    begun: list[int] = []
    told: list[tuple[int, int]] = []

    def work(file: Path) -> int:
        begun.append(int(file.name))
        return int(file.name)

    token = decode.PROGRESS.set(lambda done, total: told.append((done, total)))
    try:
        results = decode.ahead(work, [Path(str(i)) for i in range(1000)])
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        most = decode.AHEAD * len(os.sched_getaffinity(0))
        assert len(begun) <= most + 3
        assert list(results) == list(range(3, 1000))
    finally:
        decode.PROGRESS.reset(token)
    assert told == [(i, 1000) for i in range(1, 1001)]
