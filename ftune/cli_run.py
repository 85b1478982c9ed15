"""How a command is run: its options, its configuration, its exit code."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from ftune.cli_options import Code, CodeFrom, Json, Quiet
from ftune.console import Console
from ftune.errors import FtuneError, InterruptedRunError, RequestError
from ftune.places import expanded
from ftune.security.consent import granting

if TYPE_CHECKING:
    from ftune.runs.base import Base
    from ftune.schema.root import RunConfig

Summary = dict[str, Any] | None
Function = TypeVar("Function", bound=Callable[..., Summary])
SHARED = {"code": (Code, None), "code_from": (CodeFrom, None), "json": (Json, False),
          "quiet": (Quiet, False)}  # fmt: skip
"""Options that commands share, in the order of `--help`, each with its default."""


def command(
    app: typer.Typer, name: str | None = None, shared: tuple[str, ...] = tuple(SHARED)
) -> Callable[[Function], Function]:
    """Register `function(console, …) -> summary` as a command that also takes `shared` options."""

    def register(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        parameters = [p for key, p in signature.parameters.items() if key != "console"]
        for key in shared:
            kind, default = SHARED[key]
            parameters.append(
                Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            )

        def callback(**values: Any) -> None:
            options = {key: values.pop(key) for key in shared}
            call(lambda console: function(console, **values), **options)

        callback.__doc__ = function.__doc__
        vars(callback)["__signature__"] = signature.replace(parameters=parameters)
        app.command(name or function.__name__)(callback)
        return function

    return register


def call(
    function: Callable[[Console], Summary], code: list[Path] | None = None,
    code_from: list[str] | None = None, json: bool = False, quiet: bool = False,
) -> None:  # fmt: skip
    """Run a command; a fault becomes one message and an exit code, never a traceback.

    code: the user's own modules, which register models, losses, transforms, sources.
    code_from: hashes of foreign files whose code may run during this command.
    """
    console = Console(json_output=json, quiet=quiet)
    try:
        with granting(code_from or [], console.warn):
            for file in code or []:
                from ftune.extend import load_code

                load_code(file)
            summary = function(console)
    except InterruptedRunError as error:
        console.interrupted(str(error))
        raise typer.Exit(error.exit_code) from None
    except FtuneError as error:
        if os.environ.get("FTUNE_TRACEBACK") == "1":
            raise  # shown by `main`, without secrets
        console.error(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        console.error("interrupted")
        raise typer.Exit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except OSError as error:  # a full disk, a folder that may not be written
        console.error(disk_message(error))
        raise typer.Exit(1) from None
    if summary is not None:
        console.result(summary)
        if summary.get("identical") is False:
            raise typer.Exit(1)


def disk_message(error: OSError) -> str:
    """Return the file, the fault and the free bytes of its disk."""
    from ftune.runs.files import free_bytes

    file = Path(os.fsdecode(error.filename)) if error.filename else Path()
    return f"{file}: {error.strerror or error}; {free_bytes(file):,} bytes are free there"


def start(
    name: str, console: Console, words: list[str] | None, bases: list[str] | None = None,
    out: Path | None = None, resume_mode: str | None = None, plan: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Run the command `name` and return its summary, or with `--resume auto` go on with its run."""
    from ftune.commands.base_config import base_for
    from ftune.commands.dispatch import COMMANDS
    from ftune.commands.request import Request

    row = COMMANDS[name]
    config, stem, base = configured(console, words, bases, row.base == "required")
    if resume_mode is not None:
        from ftune.commands.resume import begun, resume

        if (folder := begun(resume_mode, out, config)) is not None:
            return resume(folder, False, console)
    base = base or base_for(row.base, bases or [], config)
    return row.run(Request(config, stem, out, console, base, plan=plan))


def configured(
    console: Console, words: list[str] | None, bases: list[str] | None, based: bool
) -> tuple[RunConfig, str, Base | None]:
    """Return the configuration, the stem of its file, and the base where it was read from there.

    based: whether the command starts from a base; it runs without CONFIG too, by the configuration
    that is stored in the base.
    """
    from ftune.commands.base_config import base_config, find_base
    from ftune.schema.root import config_path

    given, changes = split(words)
    if based and config_path(given) is None:
        base = find_base(bases or [], None)
        return base_config(base, changes), base.source.stem, base
    path, config = read_config(words, console.note)
    if based and given is None:
        console.info(f"configuration: {path}")
    return config, path.stem, None


def split(words: list[str] | None) -> tuple[str | None, list[str]]:
    """Return CONFIG, if there is one, and the overrides."""
    words = list(words or [])
    first = words[0] if words else "="
    deletes = first.startswith("~") and "/" not in first
    if deletes or ("=" in first and not first.startswith(("~/", "/", "./", "../"))):
        return None, words
    return str(expanded(first)), words[1:]


def read_config(
    words: list[str] | None, note: Callable[[str], None]
) -> tuple[Path, RunConfig]:  # fmt: skip
    """Read the configuration and return it with its file. Raises RequestError without a file.

    note: called with each setting of an extended file that a change of variant has dropped.
    """
    from ftune.commands.check import check_sweep
    from ftune.schema.root import LANGUAGE, config_path

    given, changes = split(words)
    path = config_path(given)
    if path is None:
        raise RequestError("no CONFIG given and no ftune.yaml here; `ftune init` writes one")
    config = LANGUAGE.load(path, changes, note)
    check_sweep(path, changes, config)
    return path, config


def is_model(path: Path) -> bool:
    """Tell whether a path is a run or an exported file, not a configuration."""
    return path.is_dir() or path.suffix in (".safetensors", ".pt", ".pth")


def base_of(
    run_path: Path, adapters: list[str] | None, verify: bool = True, moved: Path | None = None
) -> Base:
    """Load a trained model with only the named adapters; with all, where none is named.

    verify, moved: how the files are opened that a run refers to, and where they lie now.
    """
    from ftune.runs.adapters import only
    from ftune.runs.base import load_base
    from ftune.runs.references import Access

    return only(load_base(run_path, Access(verify, moved)), adapters or [])
