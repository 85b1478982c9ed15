"""`ftune check`: what each command would do with a configuration that is valid."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.config.dump import annotated, dump
from ftune.config.tree import Mark
from ftune.console import Console
from ftune.errors import ConfigError, MissingExtraError, Problem, RequestError
from ftune.models import MODELS
from ftune.schema.root import LANGUAGE, NO_BASE, NO_MODEL, NO_SWEEP, RunConfig
from ftune.search.space import check_space, parse_space
from ftune.secret.redact import redact
from ftune.training.reach import Length, unreached

LARGE = 256 * 2**20
"""Files of more bytes are not read whole without being asked."""
TOO_LARGE = (
    "the files are large and were read block by block only; `--for COMMAND` also does what the"
    " command does before its first step, which reads them whole"
)
COMMANDS = ("optimize", "finetune", "lr-find", "sweep")


def check(
    path: Path,
    config: RunConfig,
    console: Console,
    with_data: bool = False,
    command: str | None = None,
    dropped: Sequence[str] = (),
) -> dict[str, Any]:
    """Says it in one line a command; the configuration has been read without a problem.

    command: the one that must be possible, and of which alone it is said; None: the one that the
    file's blocks ask for. with_data: its files are read block by block, then all that the command
    does before its first step is done; the verdict comes behind it. dropped: notes on settings of
    extended files that a change of variant has dropped. Raises what the command would
    raise, DataError that lists the faults of all files among it.
    """
    wanted = _wanted(config, command)
    would = {
        "optimize": _optimize(config),
        "finetune": _finetune(config),
        "lr-find": _lr_find(config),
        "sweep": _sweep(config),
    }
    if wanted is not None:
        _refuse(wanted, config)
    notes = [*dropped, *unreached(config, Length.declared(config))]
    summary: dict[str, Any] = {"command": "check", "status": "done", "config": str(path)}
    summary |= {"would": would, "for": wanted}
    if with_data:
        with _memory(config):
            summary |= _data(config, console)
            large = command is None and sum(file["size"] or 0 for file in summary["data"]) > LARGE
            notes += [TOO_LARGE] if large else _rehearsed(wanted, config)
    console.say(f"{path}: valid")
    for name in [command] if command else would:
        console.say(f"  {name:9} {would[name]}")
    for note in dict.fromkeys(notes):
        console.say(f"note: {note}")
    return summary | {"notes": list(dict.fromkeys(notes))}


def _wanted(config: RunConfig, command: str | None) -> str | None:
    """The command that the blocks of a file ask for, if any does. Raises RequestError."""
    if command is not None and command not in COMMANDS:
        raise RequestError(f"--for: there is no `{command}`; accepted: {', '.join(COMMANDS)}")
    asked = {"sweep": config.sweep, "finetune": config.base, "optimize": config.model}
    return command or next((name for name, block in asked.items() if block), None)


def _refuse(command: str, config: RunConfig) -> None:
    """Raises RequestError where a command cannot be possible whatever the data."""
    own = getattr(config.model, "source", None)
    if command == "sweep" and config.sweep is None:
        raise RequestError(NO_SWEEP)
    if command == "finetune" and not config.base and not own:
        raise RequestError(NO_BASE)
    if command != "finetune" and config.model is None and not config.base:
        raise RequestError(NO_MODEL)
    for package, extra in _needed(config).items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"model: {_name(config.model)}", extra)


def _needed(config: RunConfig) -> dict[str, str]:
    """Packages that the model needs, and the extra that brings each."""
    name = MODELS.name_of(type(config.model)) if config.model is not None else ""
    gguf = str(getattr(config.model, "source", "")).endswith(".gguf")
    packages = {"hf": {"transformers": "text"} | ({"gguf": "text"} if gguf else {}),
                "timm": {"timm": "timm"}}  # fmt: skip
    return packages.get(name, {})


def _memory(config: RunConfig) -> AbstractContextManager[None]:
    """What the profile reads and measures, the rehearsal need not; of large files nothing stays."""
    from ftune.data.once import once
    from ftune.data.survey.profiled import too_large

    return nullcontext() if too_large(config.data) else once()


def _rehearsed(command: str | None, config: RunConfig) -> list[str]:
    if command is None:
        return []
    from ftune.commands.rehearse import rehearse

    return rehearse(command, config)


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
        places = {key: node.mark for key, node in LANGUAGE.composed(path, changes).walk()}
        raise ConfigError(list(dict.fromkeys(_placed(p, places) for p in error.problems))) from None


def show_resolved(path: Path, changes: Sequence[str], console: Console) -> dict[str, str]:
    """Print what a file and those that it extends say, each value with its place; return it."""
    text = annotated(LANGUAGE.composed(path, changes)).rstrip()
    console.answer(text)
    return {"resolved": redact(text)}


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
