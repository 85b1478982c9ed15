"""The whole configuration: every root key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftune.adapt.schema import Rule
from ftune.config.fields import block, group, rows, setting
from ftune.config.load import Language
from ftune.config.read import SettingError
from ftune.config.spelling import suggestion
from ftune.data.schema import Data
from ftune.models import MODELS
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.runtime.schema import Runtime
from ftune.schema.evaluation import Eval
from ftune.schema.renamed import RENAMED, RESERVED
from ftune.schema.search import LrFind, Sweep
from ftune.schema.train import Train
from ftune.tasks import METRICS, TASKS


@dataclass(frozen=True)
class Output:
    """Where runs go."""

    folder: str = setting("runs", path=True)
    """Folder that receives the run folders."""
    standalone: bool = setting(False)
    """Whether each run holds all its weights itself; else frozen ones that are bit for bit those of
    a file of the base stay there, and the run refers to them by path and hash."""


NO_MODEL = "the configuration has no `model:` block, and no base brings one"
NO_BASE = "finetune starts from a trained model: give --base PATH, or `base:` in the file"
NO_SWEEP = "no `sweep:` block; it names `scientific:` or `nuisance:` settings"
"""What a command says where the block that it needs is absent."""


@dataclass(frozen=True)
class RunConfig:
    """One file for every command; a command ignores the blocks of the others."""

    task: Any = block(TASKS)
    """What is learned."""

    data: Data = group(Data, required=True)
    """Where the rows come from and how they become numbers."""

    seed: int = setting(0, at_least=0, at_most=2**31 - 1)
    """Seed of everything random: initialisation, split, order, dropout."""

    model: Any = block(MODELS, default=None)
    """The structure. `finetune` takes the base's where this is absent."""

    base: str | list[str] | None = setting(None, path=True, exact=False, fact="trial")
    """Trained model to start from, the same as `--base`; or a list: the model, and PEFT adapters to
    put on top of it."""

    adapt: tuple[Rule, ...] = rows(Rule)
    """Ordered rules over parameter names; the last match wins, effect by effect."""

    optimizer: Any = block(OPTIMIZERS, default="adamw")
    """Descent method."""

    schedule: Any = block(SCHEDULES, default="cosine")
    """How the learning rate changes over the training."""

    train: Train = group(Train)
    """Length, batches and precision of the training."""

    eval_: Eval = group(Eval)
    """When and by what the model is judged."""

    lr_find: LrFind = group(LrFind, exact=False)
    """Settings of `ftune lr-find`."""

    sweep: Sweep | None = group(Sweep, default=None, exact=False)
    """Settings of `ftune sweep`."""

    runtime: Runtime = group(Runtime, fact="cost")
    """Device, threads, determinism."""

    output: Output | None = group(Output, default=None, exact=False)
    """Where runs go; default ./runs where the user stands."""

    extends: str | list[str] | None = setting(None, stored=False)
    """A file, or a list of files, that this one stands over; relative to it. Mappings are merged,
    lists and values replaced; another `name` or `source` of a block drops the old settings."""

    def __post_init__(self) -> None:
        """The data must hold what the task predicts, and the metric must be one of the task's."""
        kind, data = self.task.target_kind, self.data
        own = [metric.name for metric in self.eval_.metrics] + list(METRICS)
        name, known = self.eval_.metric, ("auto", *self.task.metrics, *own)
        if name.partition("/")[0] not in known:  # r2/NAME is that of one target
            hint = suggestion(name, dict.fromkeys(known))
            raise SettingError("eval.metric", f"`{name}` is not a metric of this task; {hint}")
        if kind == "tokens" and data.targets:
            raise SettingError(
                "data.target", "a language model predicts the text itself; delete it"
            )
        if kind == "tokens" and data.kind != "text":
            raise SettingError("data.text", "is required: the texts, or `prompt` and `response`")
        if kind != "tokens" and (data.prompt or data.messages):
            given = "prompt" if data.prompt else "messages"
            raise SettingError(
                f"data.{given}", "is for `task: causal-lm`; here `text` is the input"
            )
        if kind == "tags" and data.text is None:
            raise SettingError("data.text", "is required: the column of the words of each text")
        if kind != "tokens" and not data.targets:
            raise SettingError("data.target", "is required: the column to predict")
        if data.separator and kind != "labels":
            raise SettingError(
                "data.separator",
                "is for tags: write `task: {name: classification, multi_label: true}`",
            )
        self._check_lone_rows()

    def _check_lone_rows(self) -> None:
        """What rules may freeze, and what only building tells, `build` looks at."""
        if self.train.batch_size > 1 or self.adapt:
            return
        from ftune.data.sources.csv import Csv
        from ftune.models.lone import declared, lone_batches

        norm = declared(self.model, True if isinstance(self.data.source, Csv) else None)
        if norm:
            raise SettingError("train.batch_size", lone_batches(norm))

    @property
    def runs_folder(self) -> Path:
        """The folder that receives run folders."""
        return Path(self.output.folder) if self.output else Path("runs")


LANGUAGE = Language(RunConfig, RENAMED, RESERVED)


def config_path(given: str | None) -> Path | None:
    """The configuration file: the given one, else ./ftune.yaml if it is there."""
    if given is not None:
        return Path(given)
    here = Path("ftune.yaml")
    return here if here.is_file() else None
