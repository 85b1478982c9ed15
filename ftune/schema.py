"""The whole configuration: every root key, and the words of other tools for ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ftune.adapt.schema import Rule
from ftune.config.decimals import nearest_step
from ftune.config.fields import block, blocks, group, rows, setting
from ftune.config.load import Language
from ftune.config.read import SettingError
from ftune.config.spelling import suggestion
from ftune.data.schema import Data
from ftune.models import MODELS
from ftune.optim import OPTIMIZERS, SCHEDULES
from ftune.runtime.schema import Runtime
from ftune.tasks import METRICS, OBJECTIVES, TASKS
from ftune.tasks.protocol import DIRECTIONS
from ftune.words import RENAMED, RESERVED


@dataclass(frozen=True)
class Every:
    """An interval: in epochs, steps or minutes, whichever comes first."""

    epochs: float | None = setting(None, above=0)
    """Epochs between two; a bare number means this."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps between two."""

    minutes: float | None = setting(None, above=0)
    """Minutes between two."""

    def in_steps(self, steps_per_epoch: int) -> int | None:
        """The interval in optimizer steps, or None where it is given in minutes only."""
        return _in_steps(self.epochs, self.steps, steps_per_epoch)


@dataclass(frozen=True)
class LookEvery:
    """How often the model is evaluated."""

    epochs: float | None = setting(None, above=0)
    """Epochs between two evaluations; a bare number means this."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps between two evaluations."""

    def in_steps(self, steps_per_epoch: int) -> int | None:
        """The interval in optimizer steps; never by the clock, which would make runs differ."""
        return _in_steps(self.epochs, self.steps, steps_per_epoch)


def _in_steps(epochs: float | None, steps: int | None, steps_per_epoch: int) -> int | None:
    found = [steps] if steps else []
    if epochs:
        found.append(max(1, nearest_step(epochs, steps_per_epoch)))
    return min(found) if found else None


@dataclass(frozen=True)
class EarlyStop:
    """Ends a training that no longer improves."""

    patience: int = setting(at_least=1)
    """Evaluations in a row without improvement after which the training ends."""

    min_delta: float = setting(0.0, at_least=0)
    """How much better than at the last improvement the metric must become, to be one. It decides
    when the training ends, never which step is the best; with 0 every new best is one."""


@dataclass(frozen=True)
class NonFinite:
    """What is done about a step whose loss or gradient is not a finite number."""

    policy: Literal["stop", "skip", "rollback"] = setting("stop")
    """`stop` ends the run; `skip` leaves the step out; `rollback` leaves it out and takes the
    weights and the optimizer's state back from the last checkpoint. None of them updates."""

    limit: int = setting(10, at_least=1)
    """After so many faults in a run, spikes included, the next one ends it."""


@dataclass(frozen=True)
class SpikeGuard:
    """Watches for a loss far above the recent ones, before it moves anything."""

    threshold: float = setting(8.0, above=0)
    """How far above the median of the recent losses, in standard deviations."""

    window: int = setting(100, at_least=10)
    """How many recent losses it is compared with; until then nothing is a spike."""

    policy: Literal["stop", "skip", "rollback"] = setting("skip")
    """What is done about it, as under `non_finite`."""


@dataclass(frozen=True)
class Train:
    """The length of the training and the making of one step."""

    epochs: float = setting(20, above=0)
    """Passes over the training split."""

    steps: int | None = setting(None, at_least=1)
    """Optimizer steps; replaces `epochs`."""

    batch_size: int = setting(64, at_least=1)
    """Rows in a micro-batch: what is in memory at once."""

    accumulate: int = setting(1, at_least=1)
    """Micro-batches in one optimizer step; k of b rows equal one of k·b."""

    drop_last: bool = setting(False)
    """Whether an epoch's last, smaller batch is left out."""

    clip_norm: float | None = setting(None, above=0)
    """Largest norm of the whole gradient; a longer one is scaled down."""

    clip_value: float | None = setting(None, above=0)
    """Largest absolute value of each entry of the gradient."""

    objective: Any = block(OBJECTIVES, default=None)
    """What a step minimises, if it is not the loss of the task: one that --code registers."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting("auto")
    """Number format of the forward pass; `auto` is bf16 on GPUs that have it, else fp32. fp16 skips
    steps whose gradients overflow; they count as steps, the schedule waits for the next."""

    ema: float | None = setting(None, above=0, below=1)
    """Decay of an exponential moving average of the weights, used to evaluate and predict."""

    early_stop: EarlyStop | None = group(EarlyStop, short="patience", default=None)
    """Ends the training when the metric stops improving; a bare number is the patience."""

    checkpoint_every: Every = group(Every, short="epochs", default=Every(minutes=1), exact=False)
    """How often the state is saved, besides every new best; a bare number means epochs."""

    keep: int = setting(1, at_least=1, exact=False)
    """How many of the newest checkpoints stay, besides the best."""

    keep_best: int = setting(1, at_least=1, exact=False)
    """How many of the best checkpoints stay; an evaluation that comes among them is saved."""

    non_finite: NonFinite = group(NonFinite, short="policy")
    """What is done about a loss or gradient that is not finite; a bare word is the policy."""

    spike_guard: SpikeGuard | None = group(SpikeGuard, short="threshold", default=None)
    """Leaves out steps whose loss jumps; a bare number is the threshold. Off by default."""

    log_every: int | None = setting(None, at_least=1, exact=False)
    """Steps between two lines of metrics.jsonl; default ten an epoch."""

    @property
    def rolls_back(self) -> bool:
        """Whether a fault may take weights back from a checkpoint."""
        spikes = self.spike_guard.policy if self.spike_guard else None
        return "rollback" in (self.non_finite.policy, spikes)


@dataclass(frozen=True)
class Eval:
    """When and by what the model is judged."""

    every: LookEvery = group(LookEvery, short="epochs", default=LookEvery(epochs=1))
    """How often the validation split is evaluated; a bare number means epochs."""

    at_start: bool = setting(True)
    """Whether it is evaluated before the first step too: what the training began with, which is
    delivered where no later step is better."""

    train: bool | Literal["auto"] = setting("auto", words=("auto",), exact=False)
    """Whether the training rows are scored at the end, one more pass over all of them; `auto`: of
    tables, where it costs little, not of texts and images."""

    metric: str = setting("auto")
    """Metric that selects the best step; `auto` is accuracy or rmse, by the task. Of equal values
    the one with the lower validation loss is the best, then the earlier one."""

    metrics: Any = blocks(METRICS)
    """Metrics that --code registers, scored beside the task's own: `[gini, {fbeta: {beta: 2}}]`.
    One that `metric` names need not stand here."""

    batch_size: int | Literal["auto"] = setting("auto", at_least=1, words=("auto",))
    """Rows evaluated at once; changes speed and memory, not results. `auto`: 4096 rows of a table,
    as many texts or images as train.batch_size."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice or (twice := next((name for name in names if name in DIRECTIONS), None)):
            raise SettingError("metrics", f"two are called `{twice}`; name one with `as: NAME`")

    @property
    def own(self) -> tuple[Any, ...]:
        """The metrics of --code that are scored, with the one that selects."""
        names = [metric.name for metric in self.metrics]
        alone = self.metric in METRICS and self.metric not in names
        return (*self.metrics, METRICS[self.metric]()) if alone else tuple(self.metrics)


@dataclass(frozen=True)
class LrFind:
    """The search for a learning rate by short trainings."""

    low: float = setting(1e-5, above=0)
    """Smallest rate that is tried."""

    high: float = setting(1.0, above=0)
    """Largest rate that is tried."""

    per_decade: int = setting(2, at_least=1, at_most=12)
    """Rates per factor of ten in the first pass."""

    refine: int = setting(5, at_least=3, at_most=15)
    """Rates of the second pass, closer together around the best of the first."""

    first: float = setting(0.1, above=0, at_most=1)
    """Length of each training of the first pass, as a share of the whole."""

    second: float = setting(0.5, above=0, at_most=1)
    """Length of each training of the second pass, as a share of the whole."""

    max_steps: int = setting(2000, at_least=1)
    """Longest of these trainings, in steps."""

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise SettingError("low", "must be below `high`")


@dataclass(frozen=True)
class Halving:
    """Successive halving: all trials a short way, the better ones on from there."""

    rungs: int = setting(3, at_least=2, at_most=8)
    """How often the field is thinned, the last rung being the whole training."""

    factor: int = setting(3, at_least=2, at_most=10)
    """One in so many trials goes on, each for so many times the steps."""


@dataclass(frozen=True)
class Sweep:
    """A study over settings of this file."""

    question: str | None = setting(None)
    """What the sweep shall answer; printed with its result."""

    scientific: dict[str, Any] = setting({}, open=True)
    """Settings whose effect is asked for: `key.path: [values]` or `{low, high, log, step}`. A value
    may be a whole block, `optimizer: [adamw, {name: sgd, momentum: 0.9}]`, so that each variant
    has settings of its own."""

    nuisance: dict[str, Any] = setting({}, open=True)
    """Settings that must be tuned for a fair answer, in the same form."""

    trials: int | None = setting(None, at_least=1)
    """How many trials; default the whole grid, or 20. One with the settings of an earlier trial
    takes over its result and is not trained again."""

    sampler: Literal["auto", "grid", "qmc", "tpe"] = setting("auto")
    """Where the next trial lies; `auto` is grid where all settings are lists, else qmc."""

    halving: Halving | None = group(Halving, short="rungs", default=None)
    """Successive halving with resumed trials; a bare number is the count of rungs."""

    def __post_init__(self) -> None:
        if not self.scientific and not self.nuisance:
            raise SettingError("scientific", "name at least one setting to vary")
        twice = set(self.scientific) & set(self.nuisance)
        if twice:
            raise SettingError(
                "nuisance", f"{', '.join(sorted(twice))} stands under scientific too"
            )


@dataclass(frozen=True)
class Output:
    """Where runs go."""

    folder: str = setting("runs", path=True)
    """Folder that receives the run folders."""


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

    base: str | list[str] | None = setting(None, path=True, exact=False)
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

    runtime: Runtime = group(Runtime)
    """Device, threads, determinism."""

    output: Output | None = group(Output, default=None, exact=False)
    """Where runs go; default ./runs where the user stands."""

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
