"""The profile of the training file for `ftune check --data`, without much memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ftune.data.profile.profile import Profile, profile
from ftune.data.reading import load

if TYPE_CHECKING:
    from ftune.data.kind import TargetKind
    from ftune.data.schema import Data

LARGEST = 64 * 2**20
"""Bytes of a file that is read whole; of a larger one the training tells."""


def profiled(data: Data, kind: TargetKind) -> Profile | str:
    """What the columns hold, or why it is not told. Raises DataError where training would.

    What is learnt on training rows, as which columns are constant there, only training knows.
    """
    if file := too_large(data):
        size = file.stat().st_size // 2**20
        return f"{file}: {size:,} MB, more than is read whole here; training prints its columns"
    parts = load(data, kind)
    return profile(parts.get("train", next(iter(parts.values()))), data, kind)


def too_large(data: Data) -> Path | None:
    """The training file, where it is not read whole."""
    path = next(iter(data.source.part_files.values()), None)
    file = Path(path) if path else None
    large = file is not None and file.is_file() and file.stat().st_size > LARGEST
    return file if large else None
