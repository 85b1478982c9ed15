"""A `data:` block read as ftune reads it, and small tables in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ftune.config.fields import group
from ftune.config.load import Language
from ftune.data.schema import Data

ReadData = Callable[..., Data]
Write = Callable[[str, str | bytes], str]


@dataclass(frozen=True)
class _Root:
    """A configuration of data alone."""

    data: Any = group(Data, default=None)
    """The block."""


@pytest.fixture(scope="session")
def read_data() -> ReadData:
    """`read_data(source="csv", path=…)` -> Data, through the reader that users meet."""
    return lambda **plain: Language(_Root).of({"data": plain}).data


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write("a.csv", content)` -> the path of a new file."""

    def make(name: str, content: str | bytes) -> str:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(file)

    return make
