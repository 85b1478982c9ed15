"""The options and arguments of the command line, each written once, and the words it accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ftune.places import expanded, url_fault

FOREIGN_COMMANDS = {
    "train": "`ftune optimize` trains a declared model, `ftune finetune` a trained one",
    "fit": "`ftune optimize` trains a declared model",
    "tune": "`ftune finetune` adapts a trained model; `ftune sweep` searches for settings",
    "test": "`ftune evaluate RUN` gives the metrics of a split",
    "eval": "`ftune evaluate RUN` gives the metrics of a split",
    "validate": "`ftune check` validates a configuration, `ftune evaluate RUN` a trained model",
    "generate": "`ftune predict RUN --prompt TEXT` generates text",
    "infer": "`ftune predict RUN --input FILE` predicts new rows",
    "continue": "`ftune resume RUN` continues an interrupted run",
    "list": "`ftune runs` lists the runs",
    "ls": "`ftune runs` lists the runs",
    "diff": "`ftune compare RUN RUN` shows how runs differ",
    "new": "`ftune init` writes a configuration",
    "help": "`ftune --help` and `ftune COMMAND --help` tell what there is",
}
"""Commands of other tools, and ours for the same."""


class Commands(TyperGroup):
    """The commands; a command of another tool is answered with ours."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in FOREIGN_COMMANDS and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}': {FOREIGN_COMMANDS[args[0]]}.")
        return super().resolve_command(ctx, args)


def local_path(text: str | Path) -> Path:
    """Return a path of this machine; `~` is the home, also where no shell expands it."""
    fault = url_fault(text)
    if fault:
        raise typer.BadParameter(fault)
    return expanded(text)


Text = str | None
Texts = list[str] | None
File = Path | None
Files = list[Path] | None


def _argument(metavar: str | None, text: str, **more: Any) -> Any:
    return typer.Argument(metavar=metavar, help=text, **more)


def _option(name: str | None, text: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(*([name] if name else []), help=text, metavar=metavar, **more)


Words = Annotated[Texts, _argument("[CONFIG] [KEY=VALUE]...", "The file, and settings to change.")]
ModelWords = Annotated[
    Texts, _argument("[CONFIG|RUN] [KEY=VALUE]...", "The file, and settings to change; or a run.")
]
Changes = Annotated[Texts, _argument("[KEY=VALUE]...", "Settings to change.")]
Longer = Annotated[Texts, _argument("[train.epochs=N]...", "A longer training, as a new run.")]
Moved = Annotated[Texts, _argument("[data.path=FILE]", "Where its data lies now.")]
Layout = Annotated[Texts, _argument("[data.decimal=.]...", "How the input is written.")]
RunPath = Annotated[Path, _argument("RUN", "A run folder, or an exported file.", parser=local_path)]
RunOnly = Annotated[Path, _argument("RUN", "A run folder.", parser=local_path)]
RunPaths = Annotated[list[Path], _argument("RUN RUN...", "Run folders.", parser=local_path)]
RunsFolder = Annotated[Path, _argument(None, "The folder that holds runs.", parser=local_path)]
Template = Annotated[Text, _argument(None, "Which one; without, a table of them.")]
Key = Annotated[Text, _argument(None, "A key such as train.epochs.")]

Out = Annotated[File, _option("--out", "The run folder.", parser=local_path)]
OutFile = Annotated[Path, _option("--out", "The file to write.", parser=local_path)]
ExportPath = Annotated[Path, _option("--out", "The file or folder to write.", parser=local_path)]
TABLE = "A table: drafts a configuration for this very file."
Table = Annotated[File, _option("--data", TABLE, parser=local_path)]
Target = Annotated[Text, _option("--target", "With --data: the column to predict.", "COL")]
WithData = Annotated[bool, _option("--data", "Read the data too.")]
Resolved = Annotated[bool, _option("--resolved", "Print the values, each with file and line.")]
ForCommand = Annotated[Text, _option("--for", "Which command; else what the file asks.", "COMMAND")]
BASE = "A trained model: run, .safetensors, .pth, HF or PEFT folder; adapters may follow."
BasePath = Annotated[Texts, _option("--base", BASE)]
FROZEN = "Where the files lie now that hold its frozen weights."
MovedBase = Annotated[File, _option("--base", FROZEN, "NEW", parser=local_path)]
Verify = Annotated[bool, _option("--verify", "Hash the files of the frozen weights, too.")]
Again = Annotated[
    Text, _option("--resume", "Go on with the run in --out, if there is one.", "auto")
]
Write = Annotated[bool, _option("--write", "Put the rate into the file.")]
Plan = Annotated[bool, _option("--plan", "Say what would run, and stop.")]
Inexact = Annotated[bool, _option("--allow-inexact", "Continue although the bits may differ.")]
SplitName = Annotated[Text, _option("--split", "train, val or test.")]
Adapter = Annotated[Texts, _option("--adapter", "Only this LoRA counts.", "NAME")]
Sort = Annotated[Text, _option("--sort", "Best first by a figure: test.accuracy, seconds, …")]
Format = Annotated[str, _option("--format", "safetensors, pt, hf, peft, onnx or torch-export.")]
Merged = Annotated[
    bool | None, _option("--merged/--apart", "Adapters in the weights, or beside them.")
]
Overwrite = Annotated[bool, _option("--overwrite", "Replace an export.")]

INPUT = "New rows: csv, parquet, jsonl, npz, txt, images; - is stdin."
Input = Annotated[File, _option("--input", INPUT, parser=local_path)]
OUTPUT = "Predictions: csv, parquet, jsonl; - is stdout."
Output = Annotated[File, _option("--output", OUTPUT, parser=local_path)]
Keep = Annotated[Text, _option("--keep", "Columns of the input to write beside them.", "A,B")]
SkipBad = Annotated[bool, _option("--skip-bad", "Go on without images that cannot be read.")]
Prompt = Annotated[Text, _option("--prompt", "What a language model shall continue or answer.")]
MaxTokens = Annotated[int, _option(None, "Longest text that is generated.", min=1)]
Temperature = Annotated[float, _option(None, "0: always the likeliest token.", min=0.0)]
TopK = Annotated[int | None, _option(None, "Only the k likeliest tokens.", min=1)]
TopP = Annotated[
    float | None, _option(None, "Only the likeliest tokens of this share.", min=0.0, max=1.0)
]
Seed = Annotated[int, _option(None, "Seed of what is drawn.", min=0)]

Code = Annotated[Files, _option("--code", "Your module; it is run.", "FILE.py", parser=local_path)]
CODE_FROM = "Run the code that a file with this hash holds; only now."
CodeFrom = Annotated[Texts, _option("--run-code-from", CODE_FROM, "sha256:HEX")]
Json = Annotated[bool, _option("--json", "The summary as the last line of stdout.")]
Quiet = Annotated[bool, _option("--quiet", "Print nothing but warnings and errors.")]


def _print_version(asked: bool) -> None:
    if asked:
        from ftune.runtime.versions import ftune_version

        typer.echo(f"ftune {ftune_version()}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
]
