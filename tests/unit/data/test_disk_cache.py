"""Arrays on disk under what they were made of: whole or absent, the oldest evicted."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftune.data import disk_cache


def test_the_least_recently_used_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> disk_cache.Content:
        return {"x": np.zeros(1000, np.int32)}, []

    monkeypatch.setattr(disk_cache, "LIMIT", 13_000)
    for i, key in enumerate("abc"):
        disk_cache.load_or_make(tmp_path, key, make)
        os.utime(tmp_path / f"{key}.safetensors", (i, i))
    disk_cache.load_or_make(tmp_path, "a", make)  # read: now the newest
    disk_cache.load_or_make(tmp_path, "d", make)
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["a", "c", "d"]


def test_two_at_one_key_with_one_process_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in two containers with a common cache: one writes it while the other is at it."""
    from safetensors import numpy

    real = numpy.save_file
    written: list[Path] = []

    def make() -> disk_cache.Content:
        return {"x": np.arange(9, dtype=np.int32)}, ["note"]

    def slow(arrays: Any, file: Path, about: Any) -> None:
        written.append(file)
        if len(written) == 1:
            disk_cache.load_or_make(tmp_path, "key", make)
        assert not file.exists(), "the other one's"
        real(arrays, file, about)

    monkeypatch.setattr(numpy, "save_file", slow)
    arrays, notes = disk_cache.load_or_make(tmp_path, "key", make)
    assert arrays["x"].tolist() == list(range(9)) and notes == ["note"]
    assert len(set(written)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["key.safetensors"]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".old.1-aa.part", 90_000), (".young.1-bb.part", 60)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    disk_cache.load_or_make(tmp_path, "k", lambda: ({"x": np.zeros(3)}, []))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".young.1-bb.part", "k.safetensors"]


def test_the_key_tells_lists_apart() -> None:
    keys = [disk_cache.key_of(found) for found in (["ab"], ["a", "b"], ["", "ab"], ["ab", ""], [])]
    assert len(set(keys)) == 5
