"""`ftune check`: what each command would do with a configuration that is valid."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftune.commands.dispatch import COMMANDS
from ftune.config.dump import annotated, dump
from ftune.config.tree import Mark
from ftune.console import Console
from ftune.errors import ConfigError, MissingExtraError, Problem, RequestError
from ftune.models import MODELS
from ftune.schema.root import LANGUAGE, NO_BASE, NO_MODEL, NO_SWEEP, RunConfig
from ftune.search.space import check_space, parse_space
from ftune.security.redact import redact
from ftune.training.reach import Length, unreached

LARGE = 256 * 2**20
"""Files of more bytes are not read whole without being asked."""
TOO_LARGE = (
    "the files are large and were read block by block only; `--for COMMAND` also does what the"
    " command does before its first step, which reads them whole"
)


def check(
    path: Path,
    config: RunConfig,
    console: Console,
    with_data: bool = False,
    command: str | None = None,
    dropped: Sequence[str] = (),
) -> dict[str, Any]:
    """Print in one line for each command what it would do; return the summary.

    command: the one that must be possible, and the only one that is printed; None: the one that the
    file's blocks ask for. with_data: read the files block by block, then do all that the command
    does before its first step. dropped: notes on settings of extended files that a change of
    variant has dropped. Raises what the command would raise, and a DataError with the faults of all
    files.
    """
    asked = _asked(config, command)
    would = {name: row.describe(config) for name, row in COMMANDS.items()}
    if asked is not None:
        _refuse(asked, config)
    notes = [*dropped, *unreached(config, Length.declared(config))]
    summary: dict[str, Any] = {"command": "check", "status": "done", "config": str(path)}
    summary |= {"would": would, "for": asked}
    if with_data:
        with _memory(config):
            summary |= _data(config, console)
            large = command is None and sum(file["size"] or 0 for file in summary["data"]) > LARGE
            notes += [TOO_LARGE] if large else _rehearsed(asked, config)
    console.info(f"{path}: valid")
    for name in [command] if command else would:
        console.info(f"  {name:9} {would[name]}")
    for note in dict.fromkeys(notes):
        console.info(f"note: {note}")
    return summary | {"notes": list(dict.fromkeys(notes))}


def _asked(config: RunConfig, command: str | None) -> str | None:
    """Return the command that a file's blocks ask for, if any does. Raises RequestError."""
    if command is not None and command not in COMMANDS:
        raise RequestError(f"--for: there is no `{command}`; accepted: {', '.join(COMMANDS)}")
    blocks = {"sweep": config.sweep, "finetune": config.base, "optimize": config.model}
    return command or next((name for name, block in blocks.items() if block), None)


def _refuse(command: str, config: RunConfig) -> None:
    """Raise RequestError where a command is impossible whatever the data."""
    row, pretrained = COMMANDS[command], getattr(config.model, "source", None)
    if row.kind == "sweep" and config.sweep is None:
        raise RequestError(NO_SWEEP)
    if row.base == "required" and not config.base and not pretrained:
        raise RequestError(NO_BASE)
    if row.base != "required" and config.model is None and not config.base:
        raise RequestError(NO_MODEL)
    for package, extra in _needed(config).items():
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"model: {type(config.model).__name__.lower()}", extra)


def _needed(config: RunConfig) -> dict[str, str]:
    """Return the packages that the model needs -> the extra that brings each."""
    name = MODELS.name_of(type(config.model)) if config.model is not None else ""
    gguf = str(getattr(config.model, "source", "")).endswith(".gguf")
    packages = {"hf": {"transformers": "text"} | ({"gguf": "text"} if gguf else {}),
                "timm": {"timm": "timm"}}  # fmt: skip
    return packages.get(name, {})


def _memory(config: RunConfig) -> AbstractContextManager[None]:
    """Keep what the profile reads for the rehearsal, unless the files are large."""
    from ftune.data.once import once
    from ftune.data.validation.profiled import too_large

    return nullcontext() if too_large(config.data) else once()


def _rehearsed(command: str | None, config: RunConfig) -> list[str]:
    if command is None:
        return []
    from ftune.commands.rehearse import rehearse

    return rehearse(command, config)


def _data(config: RunConfig, console: Console) -> dict[str, Any]:
    from ftune.data.profile.profile import show
    from ftune.data.validation.profiled import profiled
    from ftune.data.validation.validate import validate

    files = validate(config.data, config.task.target_kind)
    for file in files:
        console.info(str(file))
    columns = profiled(config.data, config.task.target_kind)
    if isinstance(columns, str):
        console.info(columns)
    else:
        show(columns, console)
    profile = {"reason": columns} if isinstance(columns, str) else columns.to_json()
    return {"data": [file.to_json() for file in files], "profile": profile}


def check_sweep(path: Path, changes: Sequence[str], config: RunConfig) -> None:
    """Raise ConfigError, with line numbers, where `sweep:` names what cannot be varied."""
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
    console.print(text)
    return {"resolved": redact(text)}


def _placed(problem: Problem, places: Mapping[str, Mark]) -> Problem:
    for block in ("scientific", "nuisance"):
        key = f"sweep.{block}.{problem.key}"
        if key in places:
            return replace(problem, where=str(places[key]), key=key)
    return problem
