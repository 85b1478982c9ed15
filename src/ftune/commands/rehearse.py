"""What a command does before its first step, without the step: `ftune check --data`."""

from __future__ import annotations

from dataclasses import replace

from ftune.build import base_pipeline, build, read_data, start
from ftune.commands.finetune import find_base, optional_base, with_base
from ftune.commands.sweep import first_trial
from ftune.config.dump import dump
from ftune.drive import metric
from ftune.errors import RequestError
from ftune.schema import RunConfig
from ftune.search.lr_find import judging
from ftune.search.space import check_space, parse_space


def rehearse(command: str, config: RunConfig) -> list[str]:
    """Reads the data and builds all parts as `command` would; returns the notes it begins with.

    Raises whatever the command would raise. A rate to search for is taken to be 1.
    """
    if command == "sweep":
        return _sweep(config)
    base = find_base([], config) if command == "finetune" else optional_base([], config)
    if command == "optimize":
        base = None
    config = with_base(config, base) if base else config
    searches = command == "lr-find" or config.optimizer.lr == "auto"
    dataset = read_data(config, prior=base_pipeline(base))
    if searches:
        judging(dataset)
        config = replace(config, optimizer=replace(config.optimizer, lr=1.0))
    parts = build(config, dataset, base)
    start(parts)
    metric(parts)
    return parts.notes


def _sweep(config: RunConfig) -> list[str]:
    base = optional_base([], config)
    config = with_base(config, base) if base else config
    if config.sweep is None:
        raise RequestError("no `sweep:` block; it names `scientific:` or `nuisance:` settings")
    plain = dump(config)
    check_space(plain, parse_space(config.sweep))
    parts = first_trial(config, plain, base)
    metric(parts)
    return parts.notes
