"""The command line: parses, calls a command, prints what went wrong. Nothing heavy at import."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ftune.consent import granting, idle
from ftune.console import Console
from ftune.errors import FtuneError, InterruptedRunError, RequestError
from ftune.secret.redact import redact
from ftune.secret.stream import Hiding
from ftune.typed import Commands, local_path

if TYPE_CHECKING:
    from ftune.exports import Adapters
    from ftune.runs.base import Base
    from ftune.runs.folder import RunFolder
    from ftune.schema.root import RunConfig

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Optimise, fine-tune and sweep PyTorch models from one YAML file.",
    epilog="CONFIG defaults to ./ftune.yaml. KEY=VALUE changes a setting, ~KEY deletes it.",
)

Words = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(
        metavar="[CONFIG] [KEY=VALUE]...",
        help="The file, and settings to change.",
        show_default=False,
    ),
]
Changes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", parser=local_path, help="The run folder.", show_default=False),
]
BasePath = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--base",
        help="A trained model: run, .safetensors, .pth, HF or PEFT folder; adapters may follow.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The summary as the last line of stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but warnings and errors.")]
Code = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option(
        "--code",
        parser=local_path,
        metavar="FILE.py",
        help="Your module; it is run.",
        show_default=False,
    ),
]
CodeFrom = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--run-code-from",
        metavar="sha256:HEX",
        help="Run the code that a file with this hash holds; only now.",
        show_default=False,
    ),
]
Again = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--resume",
        metavar="auto",
        help="Go on with the run in --out, if there is one.",
        show_default=False,
    ),
]
Adapter = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--adapter", metavar="NAME", help="Only this LoRA counts.", show_default=False),
]
RunPath = Annotated[
    Path,
    typer.Argument(parser=local_path, metavar="RUN", help="A run folder, or an exported file."),
]


def _version(asked: bool) -> None:
    if asked:
        from ftune.runtime.versions import ftune_version

        typer.echo(f"ftune {ftune_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@app.command()
def init(
    template: Annotated[
        str | None, typer.Argument(help="Which one; without, a table of them.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", parser=local_path, help="The file to write.")
    ] = Path("ftune.yaml"),
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--data", parser=local_path, help="A table: drafts a configuration for this very file."
        ),
    ] = None,
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--target", metavar="COL", help="With --data: the column to predict."),
    ] = None,
) -> None:
    """Write a commented starter configuration."""
    from ftune.commands.init import init as command

    _call(Console(), lambda console: command(template, out, console, data, target))


@app.command()
def check(
    words: Words = None,
    data: Annotated[bool, typer.Option("--data", help="Read the data too.")] = False,
    for_: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--for", metavar="COMMAND", help="Which command; else what the file asks."),
    ] = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print the values, each with file and line.")
    ] = False,
    base: BasePath = None,
    code: Code = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Validate a configuration without importing torch: every problem at once."""
    from ftune.commands.check import check as command
    from ftune.commands.check import show_resolved

    def run(console: Console) -> dict[str, Any]:
        notes: list[str] = []
        path, config = _config(words, notes.append)
        shown = show_resolved(path, _split(words)[1], console) if resolved else {}
        config = replace(config, base=base) if base else config
        return {**command(path, config, console, data, for_, notes), **shown}

    _call(Console(json_output=json, quiet=quiet), run, code)


@app.command()
def schema(
    key: Annotated[str | None, typer.Argument(help="A key such as train.epochs.")] = None,
) -> None:
    """Print the JSON schema, or the meaning, type and default of one key."""
    from ftune.commands.schema import schema as command

    _call(Console(), lambda console: command(key, console))


@app.command()
def optimize(
    words: Words = None,
    out: Out = None,
    again: Again = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the declared model."""

    def run(console: Console) -> dict[str, Any]:
        path, config = _config(words, console.note)
        if (folder := _begun(again, out, config)) is not None:
            return _resumed(folder, console)
        from ftune.commands.optimize import optimize as command

        return command(config, path.stem, out, console)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def finetune(
    words: Words = None,
    base: BasePath = None,
    out: Out = None,
    again: Again = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Adapt a trained model to new data, parameters and strategy."""

    def run(console: Console) -> dict[str, Any]:
        config, found, stem = _finetune_config(words, base, console)
        if (folder := _begun(again, out, config)) is not None:
            return _resumed(folder, console)
        from ftune.commands.finetune import finetune as command

        return command(config, found, stem, out, console)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command(name="lr-find")
def lr_find(
    words: Words = None,
    base: BasePath = None,
    write: Annotated[bool, typer.Option("--write", help="Put the rate into the file.")] = False,
    out: Out = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the learning rate, with evidence."""

    def run(console: Console) -> dict[str, Any]:
        path, config = _config(words, console.note)
        from ftune.commands.finetune import optional_base
        from ftune.commands.lr_find import lr_find as command
        from ftune.commands.lr_find import write_rate

        summary = command(config, optional_base(base or [], config), path.stem, out, console)
        if write:
            write_rate(path, summary["lr"]["suggested"])
            doubt = "; mind the warnings above" if summary["notes"] else ""
            console.say(f"written to {path}{doubt}")
        return summary

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def sweep(
    words: Words = None,
    base: BasePath = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would run, and stop.")] = False,
    out: Out = None,
    again: Again = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the learning rate, optimizer or structure, with evidence."""

    def run(console: Console) -> dict[str, Any]:
        path, config = _config(words, console.note)
        if (folder := _begun(again, out, config)) is not None:
            return _resumed(folder, console)
        from ftune.commands.finetune import optional_base
        from ftune.commands.sweep import sweep as command

        return command(config, optional_base(base or [], config), path.stem, out, plan, console)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def resume(
    run_path: RunPath,
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[train.epochs=N]...",
            help="A longer training, as a new run.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    allow_inexact: Annotated[
        bool, typer.Option("--allow-inexact", help="Continue although the bits may differ.")
    ] = False,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue an interrupted run or sweep exactly; or a training for longer, as a new run."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.runs.folder import RunFolder

        folder = RunFolder.open(run_path)
        from ftune.commands.resume import resume as command

        return command(folder, allow_inexact, console, changes or [], out)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def rerun(
    run_path: Annotated[
        Path, typer.Argument(parser=local_path, metavar="RUN", help="A run folder.")
    ],
    moved: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[data.path=FILE]", help="Where its data lies now.", show_default=False
        ),
    ] = None,
    out: Out = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a run again: says `identical`, or the first field that differs (exit code 1)."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.runs.folder import RunFolder

        folder = RunFolder.open(run_path)
        from ftune.commands.rerun import rerun as command

        return command(folder, out, console, moved or [])

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def evaluate(
    run_path: RunPath,
    changes: Changes = None,
    split: Annotated[Optional[str], typer.Option("--split", help="train, val or test.")] = None,  # noqa: UP045
    adapter: Adapter = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Metrics on a split, or on new data with data.path=FILE."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.commands.evaluate import evaluate as command

        return command(_base_of(run_path, adapter), changes or [], split, console)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def predict(
    run_path: RunPath,
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[data.decimal=.]...", help="How the input is written.", show_default=False
        ),
    ] = None,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--input",
            parser=local_path,
            help="New rows: csv, parquet, jsonl, npz, txt, images; - is stdin.",
        ),
    ] = None,
    target: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--output", parser=local_path, help="Predictions: csv, parquet, jsonl; - is stdout."
        ),
    ] = None,
    keep: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--keep", metavar="A,B", help="Columns of the input to write beside them."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without images that cannot be read.")
    ] = False,
    prompt: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--prompt", help="What a language model shall continue or answer."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest text that is generated.")] = 200,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="0: always the likeliest token.")
    ] = 0.0,
    top_k: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Only the k likeliest tokens."),
    ] = None,
    top_p: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0.0, max=1.0, help="Only the likeliest tokens of this share."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    adapter: Adapter = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predictions for new data, transforms included."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.commands.predict import predict as command
        from ftune.predictor import Sampling

        sampling = Sampling(max_tokens, temperature, top_k, top_p, seed)
        names = [name for name in (keep or "").split(",") if name]
        base = _base_of(run_path, adapter)
        return command(
            base, source, target, prompt, sampling, console, names, skip_bad, changes or []
        )

    taken = str(target) == "-"
    _call(Console(json_output=json, quiet=quiet, stdout_taken=taken), run, code, code_from)


@app.command()
def export(
    run_path: RunPath,
    form: Annotated[
        str, typer.Option("--format", help="safetensors, pt, hf, peft, onnx or torch-export.")
    ],
    out: Annotated[
        Path, typer.Option("--out", parser=local_path, help="The file or folder to write.")
    ],
    merged: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--merged/--apart", help="Adapters in the weights, or beside them."),
    ] = None,
    adapter: Adapter = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export.")] = False,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a trained model as others load it; read back and compared."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.exports import accept

        adapters: Adapters | None = None if merged is None else "merged" if merged else "apart"
        accept(form, out, adapters, overwrite)
        from ftune.commands.export import export as command

        return command(_base_of(run_path, adapter), form, out, console, adapters, overwrite)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def runs(
    folder: Annotated[
        Path, typer.Argument(parser=local_path, help="The folder that holds runs.")
    ] = Path("runs"),
    sort: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--sort", help="Best first by a figure: test.accuracy, seconds, …"),
    ] = None,
    json: Json = False,
) -> None:
    """List runs."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.commands.runs import runs as command

        return command(folder, console, sort)

    _call(Console(json_output=json), run)


@app.command()
def model(
    words: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[CONFIG|RUN] [KEY=VALUE]...",
            help="The file, and settings to change; or a run.",
            show_default=False,
        ),
    ] = None,
    base: BasePath = None,
    code: Code = None,
    code_from: CodeFrom = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the parameters with their shapes, trained or frozen."""

    def run(console: Console) -> dict[str, Any]:
        given, changes = _split(words)
        if given is not None and _is_model(Path(given)):
            if changes or base:
                raise RequestError(f"{given} is a trained model: no settings, no --base")
            from ftune.commands.model import model_of_base

            return model_of_base(_base_of(Path(given), None), console)
        _, config = _config(words, console.note)
        from ftune.commands.finetune import optional_base
        from ftune.commands.model import model_of_config

        return model_of_config(config, optional_base(base or [], config), console)

    _call(Console(json_output=json, quiet=quiet), run, code, code_from)


@app.command()
def compare(
    run_paths: Annotated[
        list[Path], typer.Argument(parser=local_path, metavar="RUN RUN...", help="Run folders.")
    ],
    json: Json = False,
) -> None:
    """The difference of configurations, metrics and cost."""

    def run(console: Console) -> dict[str, Any]:
        from ftune.commands.runs import compare as command

        return command(run_paths, console)

    _call(Console(json_output=json), run)


def _split(words: list[str] | None) -> tuple[str | None, list[str]]:
    """CONFIG, if there is one, and the overrides."""
    words = list(words or [])
    first = words[0] if words else "="
    deletes = first.startswith("~") and "/" not in first
    if deletes or ("=" in first and not first.startswith(("~/", "/", "./", "../"))):
        return None, words
    return str(Path(first).expanduser()), words[1:]


def _config(words: list[str] | None, note: Callable[[str], None]) -> tuple[Path, RunConfig]:
    """Read the configuration; `note` is told what was dropped. RequestError where there is none."""
    from ftune.schema.root import LANGUAGE, config_path

    given, changes = _split(words)
    path = config_path(given)
    if path is None:
        raise RequestError("no CONFIG given and no ftune.yaml here; `ftune init` writes one")
    config = LANGUAGE.load(path, changes, note)
    from ftune.commands.check import check_sweep

    check_sweep(path, changes, config)
    return path, config


def _finetune_config(
    words: list[str] | None, given_base: list[str] | None, console: Console
) -> tuple[RunConfig, Base, str]:
    """The file's configuration, or without one the configuration stored in the base."""
    from ftune.schema.root import config_path

    given, changes = _split(words)
    if config_path(given) is not None:
        path, config = _config(words, console.note)
        from ftune.commands.finetune import find_base

        if given is None:
            console.say(f"configuration: {path}")
        return config, find_base(given_base or [], config), path.stem
    from ftune.commands.finetune import base_config, find_base

    base = find_base(given_base or [], None)
    return base_config(base, changes), base, base.source.stem


def _is_model(path: Path) -> bool:
    """A run or an exported file, not a configuration."""
    return path.is_dir() or path.suffix in (".safetensors", ".pt", ".pth")


def _begun(again: str | None, out: Path | None, config: RunConfig) -> RunFolder | None:
    if again is None:
        return None
    from ftune.commands.resume import begun

    return begun(again, out, config)


def _resumed(folder: RunFolder, console: Console) -> dict[str, Any]:
    from ftune.commands.resume import resume as command

    return command(folder, False, console)


def _base_of(run_path: Path, adapters: list[str] | None) -> Base:
    from ftune.runs.adapters import only
    from ftune.runs.base import load_base

    return only(load_base(run_path), adapters or [])


def _call(
    console: Console,
    command: Callable[[Console], dict[str, Any] | None],
    code: list[Path] | None = None,
    code_from: list[str] | None = None,
) -> None:
    """Runs a command; faults become one message and an exit code, never a traceback.

    `code`: the user's own modules, which register models, losses, transforms, sources.
    `code_from`: hashes of foreign files whose code may run during this command.
    """
    try:
        with granting(code_from or []):
            for file in code or []:
                from ftune.extend import load_code

                load_code(file)
            summary = command(console)
            for sentence in idle():
                console.warn(sentence)
    except InterruptedRunError as error:
        console.farewell(str(error))
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
        console.error(_said(error))
        raise typer.Exit(1) from None
    if summary is not None:
        console.result(summary)
        if summary.get("identical") is False:
            raise typer.Exit(1)


def _said(error: OSError) -> str:
    file = Path(os.fsdecode(error.filename)) if error.filename else Path()
    from ftune.runs.files import free_bytes

    return f"{file}: {error.strerror or error}; {free_bytes(file):,} bytes are free there"


def main() -> None:
    """The console script."""
    sys.stderr = Hiding(sys.stderr)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    try:
        app()
    except Exception:  # a fault of ftune itself, or one whose traceback was asked for
        print(redact(traceback.format_exc()), file=sys.stderr, end="")  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
