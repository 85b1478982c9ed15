"""The commands as functions, for `import ftune`; the command line calls the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftune.commands.finetune import find_base, finetune, optional_base
from ftune.commands.lr_find import lr_find
from ftune.commands.optimize import optimize
from ftune.commands.sweep import sweep
from ftune.consent import granting, idle
from ftune.console import Console
from ftune.errors import RequestError
from ftune.schema.root import LANGUAGE, RunConfig


def run(
    command: str,
    source: str | Path | Mapping[str, Any],
    changes: Sequence[str],
    base: str | Path | Sequence[str | Path] | None,
    out: Path | None,
    quiet: bool,
    run_code_from: Sequence[str] = (),
) -> dict[str, Any]:
    """See `ftune.run`."""
    config, stem = _read(source, changes, quiet)
    with granting(run_code_from):
        summary = _call(command, config, stem, base, out, quiet)
        for sentence in idle():
            Console().warn(sentence)
        return summary


def _call(
    command: str,
    config: RunConfig,
    stem: str,
    base: str | Path | Sequence[str | Path] | None,
    out: Path | None,
    quiet: bool,
) -> dict[str, Any]:
    console = Console(json_output=True, quiet=quiet)
    bases = [] if base is None else [base] if isinstance(base, str | Path) else list(base)
    given = [str(one) for one in bases]
    if command == "optimize":
        return optimize(config, stem, out, console)
    if command == "finetune":
        return finetune(config, find_base(given, config), stem, out, console)
    found = optional_base(given, config)
    if command == "lr-find":
        return lr_find(config, found, stem, out, console)
    if command == "sweep":
        return sweep(config, found, stem, out, False, console)
    raise RequestError(f"`{command}`: accepted: optimize, finetune, lr-find, sweep")


def _read(
    source: str | Path | Mapping[str, Any], changes: Sequence[str], quiet: bool = False
) -> tuple[RunConfig, str]:
    if isinstance(source, Mapping):
        return LANGUAGE.of(source, changes), "config"
    note = Console(json_output=True, quiet=quiet).note
    return LANGUAGE.load(Path(source), changes, note), Path(source).stem
