"""`ftune optimize`: trains the declared model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ftune.build import build, read_data
from ftune.commands.rate import settled
from ftune.console import Console
from ftune.runtime.processes import refuse_several
from ftune.schema.root import RunConfig
from ftune.training.run import new_run
from ftune.training.train import train


def optimize(config: RunConfig, stem: str, out: Path | None, console: Console) -> dict[str, Any]:
    """Trains from fresh weights and returns the summary."""
    refuse_several()
    began = time.monotonic()
    dataset = read_data(config)
    config, notes = settled(config, dataset, None, console)
    parts = build(config, dataset)
    parts.notes += notes
    return train(new_run("optimize", stem, out, parts, console, began))
