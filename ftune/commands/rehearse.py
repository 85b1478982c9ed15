"""What a command does before its first step, without the step: `ftune check --data`."""

from __future__ import annotations

from dataclasses import replace

from ftune.build import base_pipeline, build, read_data, start
from ftune.commands.finetune import find_base, optional_base, with_base
from ftune.commands.sweep import first_trial
from ftune.drive import selection_of
from ftune.schema.root import RunConfig
from ftune.search.lr_find import judging

BASES = {"finetune": find_base, "lr-find": optional_base, "sweep": optional_base}
"""How a command finds its base; optimize has none."""


def rehearse(command: str, config: RunConfig) -> list[str]:
    """Reads the data and builds all parts as `command` would; returns the notes it begins with.

    Raises whatever the command would raise. A rate to search for is taken to be 1.
    """
    base = BASES[command]([], config) if command in BASES else None
    if command == "sweep":
        _, parts, _ = first_trial(config, base)
        return parts.notes
    config = with_base(config, base) if base else config
    dataset = read_data(config, prior=base_pipeline(base))
    if command == "lr-find" or config.optimizer.lr == "auto":
        judging(dataset)
        config = replace(config, optimizer=replace(config.optimizer, lr=1.0))
    parts = build(config, dataset, base)
    start(parts)
    selection_of(parts)
    return parts.notes
