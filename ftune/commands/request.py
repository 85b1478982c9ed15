"""What is asked of a command that makes a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ftune.console import Console

if TYPE_CHECKING:
    from ftune.data.dataset import Dataset
    from ftune.runs.base import Base
    from ftune.schema.root import RunConfig


@dataclass(frozen=True)
class Request:
    """A run to make.

    stem: part of the name of the run folder where `out` is None. dataset: the data, where it has
    been read already. pause_at: the step at which a training pauses. plan: a sweep only says what
    it would run.
    """

    config: RunConfig
    stem: str
    out: Path | None
    console: Console
    base: Base | None = None
    dataset: Dataset | None = None
    pause_at: int | None = None
    plan: bool = False
