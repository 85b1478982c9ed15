"""Which sources are mutated, room by room, and which tests have to notice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "ftune"
# A pinned default or bound is noticed here: the reference page is written from the schema.
REFERENCE = "tests/test_docs.py::test_the_reference_is_up_to_date"


@dataclass(frozen=True)
class Room:
    """sources: files or folders below ftune. tests: files, folders or single tests."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def source_files(self) -> list[str]:
        """From the repository's root, in order."""
        return _files(f"{SOURCES}/{source}" for source in self.sources)

    def test_files(self) -> list[str]:
        """The files that its tests lie in."""
        return _files(test.partition("::")[0] for test in self.tests)

    def test_arguments(self) -> list[str]:
        """For pytest; a test that another branch does not have is left out."""
        return [test for test in self.tests if (ROOT / test.partition("::")[0]).exists()]


ROOMS = {
    room.name: room
    for room in (
        Room("engine", ("engine",), ("tests/unit/engine",)),
        Room("optim", ("optim",), ("tests/unit/optim", REFERENCE)),
        Room("tasks", ("tasks",), ("tests/unit/tasks", REFERENCE)),
        Room("adapt", ("adapt",), ("tests/unit/adapt", REFERENCE)),
        Room("batches", ("data/batches.py",), ("tests/unit/data/test_batches.py",)),
        Room("transforms", ("data/transforms",), (
            "tests/unit/data/test_transforms.py", "tests/unit/data/test_prepare.py",
            "tests/unit/data/test_takeover.py", "tests/unit/data/transforms",
            "tests/unit/data/images", REFERENCE,
        )),
    )
}  # fmt: skip


def _files(paths: Iterable[str]) -> list[str]:
    found = dict.fromkeys(
        file
        for path in paths
        for file in (
            sorted((ROOT / path).rglob("*.py")) if (ROOT / path).is_dir() else [ROOT / path]
        )
        if file.exists()
    )
    return [str(file.relative_to(ROOT)) for file in found]


def content_hash(files: Iterable[str]) -> str:
    """Of the names and contents of files, given from the repository's root."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file}\0".encode() + (ROOT / file).read_bytes() + b"\0")
    return total.hexdigest()[:16]
