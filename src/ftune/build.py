"""RunConfig -> Parts -> Job: the only file that knows configuration, parts and engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ftune.adapt.freeze import Phases
from ftune.adapt.rules import Effect, resolve
from ftune.adapt.transfer import Transfer, transfer
from ftune.data.batches import Batches
from ftune.data.pipeline import Pipeline
from ftune.data.prepare import Dataset, Split, prepare
from ftune.engine.average import Average
from ftune.engine.evaluate import evaluate
from ftune.engine.loop import Job, Reason, Scores
from ftune.engine.state import Best, State
from ftune.engine.step import Step, StepResult
from ftune.errors import RequestError
from ftune.models.shapes import Axis, Built, Inputs
from ftune.optim.groups import Group
from ftune.runs.base import Base
from ftune.runtime.device import choose
from ftune.runtime.precision import choose_precision
from ftune.runtime.seeds import choose_determinism, seed_all
from ftune.runtime.threads import choose_threads
from ftune.schema import RunConfig
from ftune.tasks.protocol import Task


@dataclass
class Parts:
    """Everything a training consists of, built and connected, not yet moving."""

    config: RunConfig
    dataset: Dataset
    device: torch.device
    threads: int
    built: Built
    task: Task
    effects: Mapping[str, Effect]
    phases: Phases
    batches: Batches
    total: int
    transfer: Transfer | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def model(self) -> nn.Module:
        return self.built.module

    @property
    def sizes(self) -> dict[str, int]:
        return {name: p.numel() for name, p in self.model.named_parameters()}

    @property
    def trainable(self) -> int:
        """Parameters that move at some time of the training."""
        return sum(n for name, n in self.sizes.items() if self.effects[name].train)


class Observer(Protocol):
    """Watches a training: writes what it sees, and may end it."""

    def saw(self, state: State, scores: Scores) -> None: ...
    def save(self, state: State, scores: Scores | None, ending: bool) -> None: ...
    def log(self, state: State, result: StepResult, rate: float) -> None: ...
    def stop(self, state: State) -> Reason | None: ...
    def idle(self, names: Sequence[str]) -> None: ...


def read_data(
    config: RunConfig, prior: Pipeline | None = None, fitted: Pipeline | None = None
) -> Dataset:
    """The data of a configuration; `prior` is a base's pipeline, `fitted` one to use as it is."""
    return prepare(config.data, config.task.target_kind, config.seed, prior=prior, fitted=fitted)


def build(config: RunConfig, dataset: Dataset, base: Base | None = None) -> Parts:
    """Builds all parts, with the weights of `base` where one is given."""
    if config.model is None:
        raise RequestError("the configuration has no `model:` block, and no base brings one")
    device = choose(config.runtime.device)
    seed_all(config.seed)
    pipeline = dataset.pipeline
    task = config.task.build(
        pipeline.target.classes, pipeline.target.names, dataset.train.y, pipeline.invert
    )
    built = restore_model(config, pipeline, task)
    moved = _from_base(built, base) if base else None
    effects = resolve(config.adapt, [name for name, _ in built.module.named_parameters()])
    phases = Phases(built.module.to(device), effects)
    batches = _batches(config, dataset.train, built.module)
    work = multiply_adds(built.module, dataset.train.x[:1].to(device)) * config.train.batch_size
    threads = choose_threads(config.runtime.threads, work)
    total = config.train.steps or max(1, round(config.train.epochs * batches.steps_per_epoch))
    notes = [*dataset.notes, *(moved.notes if moved else [])]
    return Parts(
        config, dataset, device, threads, built, task, effects, phases, batches, total, moved, notes
    )


def restore_model(config: RunConfig, pipeline: Pipeline, task: Task) -> Built:
    """The declared structure for a pipeline's inputs and a task's outputs, freshly initialised."""
    features = pipeline.features
    built: Built = config.model.build(
        Inputs(features.shape, features.names, features.categories), task.outputs
    )
    axes = {name: _named_outputs(found, task.output_names) for name, found in built.axes.items()}
    return replace(built, axes=axes)


def start(parts: Parts) -> State:
    """The state before the first step. Seeds and threads of the process are set here."""
    config = parts.config
    torch.set_num_threads(parts.threads)
    choose_determinism(config.runtime.deterministic, parts.device)
    seed_all(config.seed)
    precision = choose_precision(config.train.precision, parts.device)
    rate = config.optimizer.lr
    assert rate != "auto", "lr-find settles the rate before"
    return State(
        model=parts.model,
        optimizers=config.optimizer.build(_groups(parts), rate),
        schedule=config.schedule.build(parts.total, parts.batches.steps_per_epoch),
        enter=parts.phases.enter,
        scaler=precision.scaler(),
        average=Average(parts.model, config.train.ema) if config.train.ema else None,
    )


def job(parts: Parts, observer: Observer) -> Job:
    """The parts as the callables that the engine runs."""
    config, train = parts.config, parts.config.train
    precision = choose_precision(train.precision, parts.device)
    inspected: set[int] = set()
    return Job(
        total=parts.total,
        steps_per_epoch=parts.batches.steps_per_epoch,
        batches=_feeder(parts),
        step=Step(
            parts.task.loss,
            train.clip_norm,
            train.clip_value,
            precision.autocast if precision.dtype else None,
        ),
        rate=config.optimizer.lr,
        look=partial(_look, parts, observer, metric(parts)),
        save=observer.save,
        stop=partial(_stop, parts, observer),
        log=observer.log,
        inspect=partial(_inspect, parts, observer, inspected),
        better=partial(_better, parts, metric(parts)),
    )


def metric(parts: Parts) -> tuple[str, float]:
    """The selection metric and its sign: +1 where larger is better, −1 where smaller is."""
    name = parts.config.eval_.metric
    name = parts.config.task.main[0] if name == "auto" else name
    if name not in parts.task.directions:
        known = ", ".join(parts.task.directions)
        raise RequestError(f"eval.metric: `{name}` is not a metric of this task; accepted: {known}")
    return name, 1.0 if parts.task.directions[name] == "max" else -1.0


def score(parts: Parts, split: Split) -> dict[str, float]:
    """All metrics of the model as it stands on one split."""
    rows = slices(split, parts.config.eval_.batch_size, parts.device)
    return evaluate(parts.model, parts.task.meter(), rows)


def slices(split: Split, size: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """A split in order, in batches of `size` rows on the device."""
    for at in range(0, len(split), size):
        rows = slice(at, at + size)
        yield {"x": split.x[rows].to(device), "y": split.y[rows].to(device)}


def multiply_adds(model: nn.Module, sample: Tensor) -> int:
    """Multiplications of one forward pass of `sample`, counted in modules that have a weight."""
    counted = 0

    def count(module: nn.Module, _: Any, output: Any) -> None:
        nonlocal counted
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and isinstance(output, Tensor) and weight.dim() > 1:
            counted += output.numel() * weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in model.modules()]
    training = model.training
    with torch.no_grad():
        model.eval()(sample)
    model.train(training)
    for hook in hooks:
        hook.remove()
    return counted


def base_pipeline(base: Base) -> Pipeline | None:
    """The base's fitted transforms, if ftune wrote it."""
    if "pipeline" not in base.meta:
        return None
    return Pipeline.restore(base.meta["pipeline"], {k: t.numpy() for k, t in base.pipeline.items()})


def _from_base(built: Built, base: Base) -> Transfer:
    axes = axes_of(base.meta.get("axes", {}))
    with torch.no_grad():
        return transfer(built.module, built.axes, built.head, base.tensors, axes)


def axes_of(plain: Mapping[str, Any]) -> dict[str, tuple[Axis, ...]]:
    """Named axes as a checkpoint holds them, back from JSON."""
    return {
        name: tuple(Axis(a["dim"], tuple(a["names"]), a["role"]) for a in found)
        for name, found in plain.items()
    }


def _named_outputs(axes: Sequence[Axis], names: tuple[str, ...]) -> tuple[Axis, ...]:
    return tuple(replace(a, names=names) if a.role == "output" else a for a in axes)


def _batches(config: RunConfig, train: Split, model: nn.Module) -> Batches:
    settings = config.train
    has_statistics = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    # A last batch of one row has no variance to normalise by.
    lone = has_statistics and len(train) % settings.batch_size == 1 and len(train) > 1
    return Batches(
        len(train),
        settings.batch_size,
        settings.accumulate,
        config.seed,
        settings.drop_last or lone,
    )


def _groups(parts: Parts) -> list[Group]:
    """Parameters that are ever trained, by what distinguishes them; fixed for the whole run."""
    modules = dict(parts.model.named_modules())
    found: dict[tuple[float, float | None, int], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in parts.model.named_parameters():
        effect = parts.effects[name]
        if effect.train:
            # torch's fused SGD cannot have some momenta begin later than others of their group.
            key = (effect.lr_scale, effect.weight_decay, effect.from_epoch)
            found.setdefault(key, []).append((name, parameter))

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
        for (scale, decay, _), items in found.items()
    ]


def _feeder(parts: Parts) -> Callable[[int], list[dict[str, Tensor]]]:
    """Data that fits lives on the device as tensors: a batch is an index_select, no loader."""
    x, y = parts.dataset.train.x.to(parts.device), parts.dataset.train.y.to(parts.device)
    indices = parts.batches.indices

    def take(step: int) -> list[dict[str, Tensor]]:
        return [
            {"x": x.index_select(0, rows), "y": y.index_select(0, rows)}
            for rows in (i.to(x.device) for i in indices(step))
        ]

    return take


def _look(
    parts: Parts, observer: Observer, judged: tuple[str, float], state: State, last: bool
) -> Scores | None:
    every = parts.config.eval_.every.in_steps(parts.batches.steps_per_epoch)
    due = last or (every is not None and state.step % every == 0)
    if not due or parts.dataset.val is None:
        return None
    with state.evaluated():
        scores = score(parts, parts.dataset.val)
    if state.step:
        state.schedule.observe(-judged[1] * scores[judged[0]])
    observer.saw(state, scores)
    return scores


def _stop(parts: Parts, observer: Observer, state: State) -> Reason | None:
    early = parts.config.train.early_stop
    if early is not None and state.waiting >= early.patience:
        return "early"
    return observer.stop(state)


def _better(
    parts: Parts, judged: tuple[str, float], scores: Scores, best: Best | None
) -> Best | None:
    """The new best, if it is one; an equal metric is decided by the loss."""
    early = parts.config.train.early_stop
    name, sign = judged
    found = Best(0, scores[name], scores.get("loss", 0.0))
    if not math.isfinite(found.value):
        return None
    if best is None:
        return found
    gain = sign * (found.value - best.value) - (early.min_delta if early else 0.0)
    tie = found.value == best.value and not (early and early.min_delta) and found.loss < best.loss
    return found if gain > 0 or tie else None


def _inspect(parts: Parts, observer: Observer, seen: set[int], state: State) -> None:
    """After the first step of each phase: whatever is trained must have received a gradient."""
    epoch = (state.step - 1) // parts.batches.steps_per_epoch
    phase = sum(begin <= epoch for begin in parts.phases.starts)
    if phase in seen:
        return
    seen.add(phase)
    moving = [(n, p) for n, p in parts.model.named_parameters() if p.requires_grad]
    idle = [n for n, p in moving if p.grad is None or not bool(p.grad.count_nonzero())]
    if idle:
        observer.idle(idle)
