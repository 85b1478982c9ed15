"""The command line: one function a command. Nothing heavy at import."""

from __future__ import annotations

import signal
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ftune import cli_options as opt
from ftune.cli_run import Summary, base_of, command, configured, is_model, read_config, split, start
from ftune.console import Console
from ftune.errors import RequestError
from ftune.security.redact import RedactingStream, redact

if TYPE_CHECKING:
    from ftune.exports import Adapters

app = typer.Typer(
    cls=opt.Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Optimise, fine-tune and sweep PyTorch models from one YAML file.",
    epilog="CONFIG defaults to ./ftune.yaml. KEY=VALUE changes a setting, ~KEY deletes it.",
)  # fmt: skip


@app.callback()
def _root(version: opt.Version = False) -> None:
    del version


@command(app, shared=())
def init(
    console: Console, template: opt.Template = None, out: opt.OutFile = Path("ftune.yaml"),
    data: opt.Table = None, target: opt.Target = None,
) -> None:  # fmt: skip
    """Write a commented starter configuration."""
    from ftune.commands.init import init

    init(template, out, console, data, target)


@command(app, shared=("code", "json", "quiet"))
def check(
    console: Console, words: opt.Words = None, data: opt.WithData = False,
    for_: opt.ForCommand = None, resolved: opt.Resolved = False, base: opt.BasePath = None,
) -> Summary:  # fmt: skip
    """Validate a configuration without importing torch: every problem at once."""
    from ftune.commands.check import check, show_resolved

    notes: list[str] = []
    path, config = read_config(words, notes.append)
    shown = show_resolved(path, split(words)[1], console) if resolved else {}
    config = replace(config, base=base) if base else config
    return {**check(path, config, console, data, for_, notes), **shown}


@command(app, shared=())
def schema(console: Console, key: opt.Key = None) -> None:
    """Print the JSON schema, or the meaning, type and default of one key."""
    from ftune.commands.schema import schema

    schema(key, console)


@command(app)
def optimize(
    console: Console, words: opt.Words = None, out: opt.Out = None, resume_mode: opt.Again = None
) -> Summary:
    """Train the declared model."""
    return start("optimize", console, words, out=out, resume_mode=resume_mode)


@command(app)
def finetune(
    console: Console, words: opt.Words = None, base: opt.BasePath = None, out: opt.Out = None,
    resume_mode: opt.Again = None,
) -> Summary:  # fmt: skip
    """Adapt a trained model to new data, parameters and strategy."""
    return start("finetune", console, words, base, out, resume_mode)


@command(app, "lr-find")
def lr_find(
    console: Console, words: opt.Words = None, base: opt.BasePath = None, write: opt.Write = False,
    out: opt.Out = None,
) -> dict[str, Any]:  # fmt: skip
    """Find the learning rate, with evidence."""
    summary = start("lr-find", console, words, base, out)
    if write:
        from ftune.commands.lr_find import write_rate
        from ftune.schema.root import config_path

        path = config_path(split(words)[0])
        assert path is not None  # else `start` would have found no configuration
        write_rate(path, summary, console)
    return summary


@command(app)
def sweep(
    console: Console, words: opt.Words = None, base: opt.BasePath = None, plan: opt.Plan = False,
    out: opt.Out = None, resume_mode: opt.Again = None,
) -> Summary:  # fmt: skip
    """Find the learning rate, optimizer or structure, with evidence."""
    return start("sweep", console, words, base, out, resume_mode, plan)


@command(app)
def plan(console: Console, words: opt.Words = None, base: opt.BasePath = None) -> Summary:
    """Predict memory, time and what counts in the loss, on the real data; train nothing."""
    from ftune.commands.base_config import base_for
    from ftune.commands.plan import plan

    config, _, start = configured(console, words, base, bool(base))
    start = start or base_for("optional", base or [], config)
    return plan(config, start, console)


@command(app)
def resume(
    console: Console, run_path: opt.RunPath, changes: opt.Longer = None, out: opt.Out = None,
    allow_inexact: opt.Inexact = False, base: opt.MovedBase = None,
) -> Summary:  # fmt: skip
    """Continue an interrupted run or sweep exactly; or a training for longer, as a new run."""
    from ftune.runs.folder import RunFolder

    folder = RunFolder.open(run_path)
    from ftune.commands.resume import resume

    return resume(folder, allow_inexact, console, changes or [], out, base)


@command(app)
def rerun(
    console: Console, run_path: opt.RunOnly, moved: opt.Moved = None, out: opt.Out = None
) -> Summary:
    """Run a run again: says `identical`, or the first field that differs (exit code 1)."""
    from ftune.runs.folder import RunFolder

    folder = RunFolder.open(run_path)
    from ftune.commands.rerun import rerun

    return rerun(folder, out, console, moved or [])


@command(app)
def evaluate(
    console: Console, run_path: opt.RunPath, changes: opt.Changes = None,
    split: opt.SplitName = None, adapter: opt.Adapter = None, base: opt.MovedBase = None,
    verify: opt.Verify = False,
) -> Summary:  # fmt: skip
    """Metrics on a split, or on new data with data.path=FILE."""
    from ftune.commands.evaluate import evaluate

    return evaluate(base_of(run_path, adapter, verify, base), changes or [], split, console)


@command(app)
def predict(
    console: Console, run_path: opt.RunPath, changes: opt.Layout = None, source: opt.Input = None,
    target: opt.Output = None, keep: opt.Keep = None, skip_bad: opt.SkipBad = False,
    prompt: opt.Prompt = None, max_tokens: opt.MaxTokens = 200, temperature: opt.Temperature = 0.0,
    top_k: opt.TopK = None, top_p: opt.TopP = None, seed: opt.Seed = 0, adapter: opt.Adapter = None,
    base: opt.MovedBase = None, verify: opt.Verify = False,
) -> Summary:  # fmt: skip
    """Predictions for new data, transforms included."""
    console.stdout_taken = str(target) == "-"
    from ftune.commands.predict import predict
    from ftune.predictor import Sampling

    sampling = Sampling(max_tokens, temperature, top_k, top_p, seed)
    columns = [name for name in (keep or "").split(",") if name]
    model = base_of(run_path, adapter, verify, base)
    return predict(
        model, source, target, prompt, sampling, console, columns, skip_bad, changes or []
    )


@command(app)
def export(
    console: Console, run_path: opt.RunPath, form: opt.Format, out: opt.ExportPath,
    merged: opt.Merged = None, adapter: opt.Adapter = None, overwrite: opt.Overwrite = False,
    base: opt.MovedBase = None,
) -> Summary:  # fmt: skip
    """Write a trained model as others load it; read back and compared."""
    from ftune.exports import accept

    adapters: Adapters | None = None if merged is None else "merged" if merged else "apart"
    accept(form, out, adapters, overwrite)  # before torch is imported
    from ftune.commands.export import export

    return export(base_of(run_path, adapter, moved=base), form, out, console, adapters, overwrite)


@command(app, shared=("json",))
def runs(console: Console, folder: opt.RunsFolder = Path("runs"), sort: opt.Sort = None) -> Summary:
    """List runs."""
    from ftune.commands.runs import runs

    return runs(folder, console, sort)


@command(app)
def model(console: Console, words: opt.ModelWords = None, base: opt.BasePath = None) -> Summary:
    """List the parameters with their shapes, trained or frozen."""
    given, changes = split(words)
    if given is not None and is_model(Path(given)):
        if changes or base:
            raise RequestError(f"{given} is a trained model: no settings, no --base")
        from ftune.commands.model import model_of_base

        return model_of_base(base_of(Path(given), None), console)
    _, config = read_config(words, console.note)
    from ftune.commands.base_config import optional_base
    from ftune.commands.model import model_of_config

    return model_of_config(config, optional_base(base or [], config), console)


@command(app, shared=("json",))
def compare(console: Console, run_paths: opt.RunPaths) -> Summary:
    """The difference of configurations, metrics and cost."""
    from ftune.commands.runs import compare

    return compare(run_paths, console)


def main() -> None:
    """The console script."""
    sys.stderr = RedactingStream(sys.stderr)
    if hasattr(signal, "SIGUSR1"):  # not on Windows
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to save
    try:
        app()
    except Exception:  # a fault of ftune itself, or one whose traceback was asked for
        print(redact(traceback.format_exc()), file=sys.stderr, end="")  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
