"""The commands as a function, for `import ftune`; the command line calls the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftune.commands.base_config import base_for
from ftune.commands.dispatch import COMMANDS
from ftune.commands.request import Request
from ftune.console import Console
from ftune.errors import RequestError
from ftune.schema.root import LANGUAGE, RunConfig
from ftune.security.consent import granting


def run(
    command: str,
    source: str | Path | Mapping[str, Any],
    changes: Sequence[str],
    base: str | Path | Sequence[str | Path] | None,
    out: Path | None,
    quiet: bool,
    run_code_from: Sequence[str] = (),
) -> dict[str, Any]:
    """Run a command and return its summary, see `ftune.run`."""
    console = Console(json_output=True, quiet=quiet)
    config, stem = read(source, changes, console)
    row = COMMANDS.get(command)
    if row is None:
        raise RequestError(f"`{command}`: accepted: {', '.join(COMMANDS)}")
    bases = [] if base is None else [base] if isinstance(base, str | Path) else list(base)
    with granting(run_code_from, console.warn):
        start = base_for(row.base, [str(path) for path in bases], config)
        return row.run(Request(config, stem, out, console, start))


def read(
    source: str | Path | Mapping[str, Any], changes: Sequence[str], console: Console
) -> tuple[RunConfig, str]:
    """Return the configuration of a file or a mapping, and the stem of the run's name."""
    if isinstance(source, Mapping):
        return LANGUAGE.of(source, changes), "config"
    return LANGUAGE.load(Path(source), changes, console.note), Path(source).stem
