"""`ftune optimize` and `ftune finetune`: one training, from fresh weights or from a base's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ftune.assembly.build import base_pipeline, build, read_data
from ftune.commands.base_config import with_base
from ftune.commands.lr_find import settled
from ftune.commands.request import Request
from ftune.console import Console
from ftune.plan.time import with_length
from ftune.runs.folder import RunFolder
from ftune.runtime.processes import refuse_several
from ftune.training.reopen import reopen
from ftune.training.run import new_run
from ftune.training.train import train


def optimize(request: Request) -> dict[str, Any]:
    """Train the declared model, from the base's weights where there is one; return the summary."""
    refuse_several()
    began = time.monotonic()
    config, base, console = request.config, request.base, request.console
    if base is not None:
        console.info(f"loading base {base.source} …")
        config = with_base(config, base)
    dataset = request.dataset or read_data(config, prior=base_pipeline(base))
    config, length = with_length(config, dataset, base)
    config, notes = settled(config, dataset, base, console)
    parts = build(config, dataset, base)
    parts.notes += [*length, *notes]
    command = "optimize" if base is None else "finetune"
    run = new_run(command, request.stem, request.out, config, parts, console, began)
    run.pause_at = request.pause_at
    return train(run)


def continue_training(
    folder: RunFolder, console: Console, allow_inexact: bool, moved: Sequence[str]
) -> dict[str, Any]:
    """Continue a locked run from its newest whole checkpoint and return its summary."""
    run = reopen(folder, console, allow_inexact, moved)
    console.info(f"continues at step {run.state.step:,} of {run.parts.total:,}")
    return train(run)
