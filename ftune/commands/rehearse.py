"""What a command does before its first step, without the step: `ftune check --data`."""

from __future__ import annotations

from ftune.assembly.build import base_pipeline, build, read_data, start
from ftune.assembly.job import selection_of
from ftune.commands.base_config import base_for, with_base
from ftune.commands.dispatch import COMMANDS
from ftune.commands.sweep import first_trial
from ftune.plan.probe import rehearsed
from ftune.schema.root import RunConfig
from ftune.search.lr_find import judging


def rehearse(command: str, config: RunConfig) -> list[str]:
    """Read the data and build all parts as `command` would; return the notes it begins with.

    A rate to search for is taken to be 1. Raises whatever the command would raise.
    """
    row = COMMANDS[command]
    base = base_for(row.base, [], config)
    if row.kind == "sweep":
        _, parts, _ = first_trial(config, base)
        return parts.notes
    config = with_base(config, base) if base else config
    dataset = read_data(config, prior=base_pipeline(base))
    if row.kind == "search" or config.optimizer.lr == "auto":
        judging(dataset)
    config = rehearsed(config)
    parts = build(config, dataset, base)
    start(parts)
    selection_of(parts)
    return parts.notes
