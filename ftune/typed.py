"""What the command line makes of the words that users type: paths, and commands of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from ftune.places import url_fault

ELSEWHERE = {
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
"""Commands of other tools, and the words for them here."""


class Commands(TyperGroup):
    """The commands; a word of another tool is answered with ours."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in ELSEWHERE and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command '{args[0]}': {ELSEWHERE[args[0]]}.")
        return super().resolve_command(ctx, args)


def local_path(text: str | Path) -> Path:
    """A path of this machine; `~` is the home, as where a shell did not see it (`--out=~/x`)."""
    fault = url_fault(text)
    if fault:
        raise typer.BadParameter(fault)
    return Path(text).expanduser()
