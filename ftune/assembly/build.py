"""RunConfig -> Parts -> State: where the blocks of a configuration become connected objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.names import strip_wrappers
from ftune.adapt.quantize import SCALE
from ftune.adapt.rules import ParamPlan
from ftune.adapt.schema import Rule
from ftune.assembly.initial_weights import InitialModel, inputs_of, origin
from ftune.assembly.loader import to_device
from ftune.assembly.objective import choose_objective
from ftune.config.decimals import nearest_step
from ftune.data.batches import Batches
from ftune.data.dataset import Dataset, Split
from ftune.data.pipeline import Pipeline, restore
from ftune.data.prepare import prepare
from ftune.distributed import group as distributed
from ftune.engine.average import EMA
from ftune.engine.state import State
from ftune.errors import AbsentDataError, DataError, RequestError
from ftune.models.call import arguments
from ftune.models.flops import count_macs
from ftune.models.lone import alone, lone_batches
from ftune.models.shapes import Built
from ftune.optim import SCHEDULES
from ftune.optim.groups import Group
from ftune.runs.base import Base
from ftune.runs.checkpoint import Checkpoint
from ftune.runtime.device import choose
from ftune.runtime.precision import choose_precision
from ftune.runtime.seeds import choose_determinism, seed_all
from ftune.runtime.threads import choose_threads
from ftune.schema.root import NO_MODEL, RunConfig
from ftune.security.limits.form import of_form
from ftune.tasks.own import with_metrics
from ftune.tasks.protocol import Task


@dataclass
class Parts:
    """Everything a training consists of, built and connected, not yet moving."""

    config: RunConfig
    dataset: Dataset
    device: torch.device
    threads: int
    origin: InitialModel
    task: Task
    rules: Sequence[Rule]
    effects: Mapping[str, ParamPlan]
    phases: UnfreezeSchedule
    batches: Batches
    total: int
    notes: list[str] = field(default_factory=list)
    group: distributed.Group = field(default_factory=distributed.Solo)

    @property
    def model(self) -> nn.Module:
        return self.origin.module

    @property
    def built(self) -> Built:
        return self.origin.built

    @property
    def frozen(self) -> frozenset[str]:
        """Tensors of a checkpoint that are never trained, also under their other names (tied)."""
        return never_trained(self.model, self.effects)

    @property
    def sizes(self) -> dict[str, int]:
        return {name: p.numel() for name, p in self.model.named_parameters()}

    @property
    def trainable(self) -> int:
        """Parameters that move at some time of the training."""
        return sum(n for name, n in self.sizes.items() if self.effects[name].train)


def read_data(
    config: RunConfig, prior: Pipeline | None = None, fitted: Pipeline | None = None
) -> Dataset:
    """The data of a configuration; `prior` is a base's pipeline, `fitted` one to use as it is."""
    tokenizer = getattr(config.model, "source", None)
    try:
        return prepare(config.data, config.task.target_kind, config.seed, prior, fitted, tokenizer)
    except AbsentDataError as error:
        raise DataError(f"{error}; where it lies elsewhere now, add data.path=FILE") from None


def build(
    config: RunConfig,
    dataset: Dataset,
    base: Base | None = None,
    resumed: Checkpoint | None = None,
) -> Parts:
    """Builds all parts, with the weights of `base` where one is given.

    `resumed`: the checkpoint of this very training that is to be continued; its structure is
    taken from there, and what is never trained is loaded.
    """
    if config.model is None:
        raise RequestError(NO_MODEL)
    if dataset.val is None:
        _refuse_blind(config)
    device = choose(config.runtime.device)
    seed_all(config.seed)
    pipeline = dataset.pipeline
    task = build_task(config, pipeline, dataset.train.y)
    begin = origin(config, pipeline, task, base, resumed, device)
    model, effects = begin.module, begin.effects
    _refuse_idle(effects)
    phases = UnfreezeSchedule(model, effects)
    example = arguments(to_device(dataset.train.batch(torch.arange(1)), device))
    batches = _batches(config, dataset.train, alone(model, phases.resting(), *example))
    work = count_macs(model, *example) * config.train.batch_size
    threads = choose_threads(config.runtime.threads, work)
    total = config.train.steps or max(1, nearest_step(config.train.epochs, batches.steps_per_epoch))
    notes = [*dataset.notes, *(base.notes if base else ())]
    notes += begin.transfer.notes if begin.transfer else []
    notes += [*_left_out(config, batches), *_far_from_zero(config, dataset)]
    return Parts(
        config, dataset, device, threads, begin, task, begin.rules, effects, phases, batches, total,
        notes,
    )  # fmt: skip


def _far_from_zero(config: RunConfig, dataset: Dataset) -> list[str]:
    """Fresh outputs are near 0; targets far from it take most of the training to reach."""
    numbers = config.task.target_kind == "numbers" and dataset.train.y is not None
    size = float(dataset.train.y.abs().mean()) if numbers and dataset.train.y is not None else 0.0
    if size <= 30:
        return []
    return [
        f"the targets are far from 0 (mean size {size:,.0f}); "
        "`data.target_transforms: [standardize]` would train faster"
    ]


def _refuse_blind(config: RunConfig) -> None:
    """Without validation rows nothing reads these settings: better a refusal than silence."""
    needs = {
        "train.early_stop": config.train.early_stop is not None,
        "schedule.name=plateau": isinstance(config.schedule, SCHEDULES["plateau"]),
        "eval.metric": config.eval_.metric != "auto",
    }
    for key, used in needs.items():
        if used:
            raise RequestError(f"{key} goes by the validation split: give `data.split.val`")


def _refuse_idle(effects: Mapping[str, ParamPlan]) -> None:
    """A step needs something to train, in the first epoch too."""
    first = min((e.from_epoch for e in effects.values() if e.train), default=0)
    if first:
        raise RequestError(
            f"adapt: no parameter is trained before epoch {first}; write `from_epoch: 0` for those "
            "that begin"
        )


def build_task(config: RunConfig, pipeline: Pipeline, targets: Tensor | None) -> Task:
    """The task for what a pipeline's target can be; `targets`: those of the training rows."""
    target = pipeline.target
    task: Task = config.task.build(
        target.classes, target.labels, targets, pipeline.invert, pipeline.features.vocabulary
    )
    return with_metrics(task, config.eval_.own)


def start(parts: Parts) -> State:
    """The state before the first step. Seeds and threads of the process are set here."""
    config = parts.config
    torch.set_num_threads(parts.threads)
    choose_determinism(config.runtime.deterministic, parts.device)
    seed_all(config.seed)
    precision = choose_precision(config.train.precision, parts.device)
    rate = config.optimizer.lr
    assert rate != "auto", "lr-find settles the rate before"
    state = State(
        model=parts.model,
        optimizers=config.optimizer.build(_groups(parts), rate),
        schedule=config.schedule.build(parts.total, parts.batches.steps_per_epoch),
        set_trainable=parts.phases.enter,
        scaler=precision.scaler(),
        average=EMA(parts.model, config.train.ema, moving(parts)) if config.train.ema else None,
        base_lr=rate,
    )
    _, state.forward = choose_objective(config, parts.task, parts.model, parts.device)
    return state


def base_pipeline(base: Base | Checkpoint | None) -> Pipeline | None:
    """The fitted transforms of a base, if there is one and ftune wrote it."""
    stored = base.card.pipeline if base else None
    if base is None or stored is None:
        return None
    pipeline = restore(stored, {k: t.numpy() for k, t in base.pipeline.items()})
    with of_form("the data pipeline in a checkpoint"):
        inputs_of(pipeline)  # its features fit together
    return pipeline


def _batches(config: RunConfig, train: Split, norm: str) -> Batches:
    """norm: the module that fails on one row, if any. Raises RequestError where all are such."""
    settings = config.train
    if norm and settings.batch_size == 1:
        raise RequestError(f"train.batch_size: {lone_batches(norm)}")
    return Batches(
        len(train),
        settings.batch_size,
        settings.accumulate,
        config.seed,
        settings.drop_last,
        train.inputs.lengths,
        lone=not norm,
    )


def moving(parts: Parts) -> frozenset[str]:
    """The parameters that are trained at some time."""
    return frozenset(name for name, effect in parts.effects.items() if effect.train)


def never_trained(model: nn.Module, effects: Mapping[str, ParamPlan]) -> frozenset[str]:
    """Names in the state dict of parameters that no phase trains, all names of each."""
    named = dict(model.named_parameters(remove_duplicate=False))
    still = {id(p) for name, p in named.items() if name in effects and not effects[name].train}
    names = [strip_wrappers(name) for name, p in named.items() if id(p) in still]
    return frozenset([*names, *(name + SCALE for name in names)])


def _left_out(config: RunConfig, batches: Batches) -> list[str]:
    """In words, which rows each epoch does without, and which share a micro-batch."""
    rows = batches.left_out
    if batches.shared:
        return [
            "the last micro-batch of an epoch would be one row, which has no batch statistics; it"
            " shares the rows of the one before it"
        ]
    if not rows:
        return []
    why = "drop_last" if config.train.drop_last else "one row alone has no batch statistics"
    many = "1 row is left out of each epoch, another" if rows == 1 else (
        f"{rows:,} rows are left out of each epoch, others")  # fmt: skip
    return [f"{many} each time: {why}"]


def _groups(parts: Parts) -> list[Group]:
    """Parameters that are ever trained, by what distinguishes them; fixed for the whole run."""
    modules = dict(parts.model.named_modules())
    members: dict[tuple[float, float | None, int], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in parts.model.named_parameters():
        effect = parts.effects[name]
        if effect.train:
            # torch's fused SGD cannot have some momenta begin later than others of their group.
            key = (effect.lr_scale, effect.weight_decay, effect.from_epoch)
            members.setdefault(key, []).append((name, parameter))

    def is_matrix(name: str, parameter: nn.Parameter) -> bool:
        owner = modules[name.rpartition(".")[0]]
        inner = parameter.dim() == 2 and not isinstance(owner, nn.Embedding)
        return inner and not name.startswith(parts.built.head + ".")

    return [
        Group(
            names=tuple(name for name, _ in items),
            parameters=tuple(p for _, p in items),
            lr_scale=scale,
            weight_decay=decay,
            matrix=tuple(is_matrix(name, p) for name, p in items),
        )
        for (scale, decay, _), items in members.items()
    ]
