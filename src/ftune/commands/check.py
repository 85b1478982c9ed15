"""`ftune check`: what each command would do with a configuration that is valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.config.dump import dump
from ftune.config.tree import Mark
from ftune.console import Console
from ftune.errors import ConfigError, Problem
from ftune.schema import LANGUAGE, RunConfig
from ftune.search.space import check_space, parse_space
from ftune.training.reach import Length, unreached


def check(
    path: Path, config: RunConfig, console: Console, with_data: bool = False
) -> dict[str, Any]:
    """Says it in one line a command; the configuration has been read without a problem.

    with_data: its files are read too, block by block. Raises DataError that lists their faults.
    """
    would = {
        "optimize": _optimize(config),
        "finetune": _finetune(config),
        "lr-find": _lr_find(config),
        "sweep": _sweep(config),
    }
    console.say(f"{path}: valid")
    for command, what in would.items():
        console.say(f"  {command:9} {what}")
    notes = unreached(config, Length.declared(config))
    for note in notes:
        console.say(f"note: {note}")
    summary = {"command": "check", "status": "done", "config": str(path), "would": would}
    summary |= {"notes": notes}
    return summary | (_data(config, console) if with_data else {})


def _data(config: RunConfig, console: Console) -> dict[str, Any]:
    from ftune.data.profile.profile import show
    from ftune.data.survey.profiled import profiled
    from ftune.data.survey.survey import survey

    files = survey(config.data, config.task.target_kind)
    for file in files:
        console.say(str(file))
    columns = profiled(config.data, config.task.target_kind)
    if isinstance(columns, str):
        console.say(columns)
    else:
        show(columns, console)
    told = {"reason": columns} if isinstance(columns, str) else columns.to_json()
    return {"data": [file.to_json() for file in files], "profile": told}


def check_sweep(path: Path, changes: Sequence[str], config: RunConfig) -> None:
    """Raises ConfigError, with places, where the file's `sweep:` names what cannot be varied."""
    if config.sweep is None:
        return
    try:
        check_space(dump(config), parse_space(config.sweep))
    except ConfigError as error:
        places = LANGUAGE.places(path, changes)
        raise ConfigError(list(dict.fromkeys(_placed(p, places) for p in error.problems))) from None


def _placed(problem: Problem, places: Mapping[str, Mark]) -> Problem:
    for block in ("scientific", "nuisance"):
        key = f"sweep.{block}.{problem.key}"
        if key in places:
            return replace(problem, where=str(places[key]), key=key)
    return problem


def _optimize(config: RunConfig) -> str:
    if config.model is None:
        return "needs a `model:` block"
    train = config.train
    length = f"{train.steps:,} steps" if train.steps else f"{train.epochs:g} epochs"
    batch = f"{train.batch_size * train.accumulate} rows a step"
    rate = config.optimizer.lr
    rate = "a rate that lr-find settles" if rate == "auto" else f"rate {rate:g}"
    return f"trains {length}, {batch}, with {_name(config.optimizer)} at {rate}"


def _finetune(config: RunConfig) -> str:
    """From `base:`, or from the files that the model itself names."""
    base = config.base or getattr(config.model, "source", None)
    names = [base] if isinstance(base, str) else base or []
    return f"starts from {', '.join(names)}" if names else "needs --base"


def _lr_find(config: RunConfig) -> str:
    settings = config.lr_find
    if not config.data.split.val and isinstance(getattr(config.data.source, "path", ""), str):
        return "needs a validation split (data.split.val)"
    span = f"{settings.low:g} to {settings.high:g}"
    return f"tries rates from {span}, then {settings.refine} more around the best"


def _sweep(config: RunConfig) -> str:
    if config.sweep is None:
        return "needs a `sweep:` block"
    return f"varies {', '.join(parse_space(config.sweep))}"


def _name(part: object) -> str:
    return type(part).__name__.lower()
