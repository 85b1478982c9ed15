"""The commands that make a run, by name: for the command line, the library, check and rerun."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from ftune.commands.request import Request
from ftune.console import Console

if TYPE_CHECKING:
    from ftune.runs.folder import RunFolder
    from ftune.schema.root import RunConfig

Summary = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A command that makes a run.

    kind: one training, a search for its learning rate, or a sweep of trainings.
    base: whether it starts from a trained model.
    function, continuation, outlook: its functions, `module:name`, imported when first called.
    """

    kind: Literal["training", "search", "sweep"]
    base: Literal["none", "optional", "required"]
    function: str
    outlook: str
    continuation: str = "train:continue_training"

    def run(self, request: Request) -> Summary:
        """Make the run and return its summary."""
        return dict(_function(self.function)(request))

    def resume(
        self, folder: RunFolder, console: Console, allow_inexact: bool, moved: Sequence[str]
    ) -> Summary:
        """Continue a locked run from its newest checkpoint; moved: where its data lies now."""
        return dict(_function(self.continuation)(folder, console, allow_inexact, moved))

    def describe(self, config: RunConfig) -> str:
        """Return in one line what it would do, or what the configuration lacks for it."""
        return str(_function(self.outlook)(config))


COMMANDS = {
    "optimize": Command("training", "none", "train:optimize", "outlook:optimize"),
    "finetune": Command("training", "required", "train:optimize", "outlook:finetune"),
    "lr-find": Command("search", "optional", "lr_find:lr_find", "outlook:lr_find"),
    "sweep": Command("sweep", "optional", "sweep:sweep", "outlook:sweep", "sweep:continue_sweep"),
}


def _function(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(f"ftune.commands.{module}"), name)
