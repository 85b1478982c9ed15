"""RunConfig -> Parts -> State: where the blocks of a configuration become connected objects."""

from __future__ import annotations

import torch
from torch import Tensor

from ftune.adapt.activation_checkpointing import checkpoint_blocks
from ftune.adapt.freeze import UnfreezeSchedule
from ftune.adapt.frozen_linear import precompute_casts
from ftune.assembly.caveats import far_from_zero, left_out_rows, refuse_blind, refuse_idle
from ftune.assembly.initial_weights import load_initial
from ftune.assembly.parameter_groups import parameter_groups
from ftune.assembly.parts import Parts, moving
from ftune.assembly.structure import inputs_of
from ftune.batch import to_device
from ftune.config.decimals import nearest_step
from ftune.data.batches import Batches
from ftune.data.dataset import Dataset, Split
from ftune.data.pipeline import Pipeline, restore
from ftune.data.prepare import prepare
from ftune.engine.average import EMA
from ftune.engine.state import State
from ftune.errors import AbsentDataError, DataError, RequestError
from ftune.models.call import arguments
from ftune.models.flops import count_macs
from ftune.models.lone import alone, lone_batches
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
        refuse_blind(config)
    device = choose(config.runtime.device)
    seed_all(config.seed)
    pipeline = dataset.pipeline
    task = build_task(config, pipeline, dataset.train.y)
    begin = load_initial(config, pipeline, task, base, resumed, device)
    model, effects = begin.module, begin.effects
    refuse_idle(effects)
    phases = UnfreezeSchedule(model, effects)
    example = arguments(to_device(dataset.train.batch(torch.arange(1)), device))
    batches = _batches(config, dataset.train, alone(model, phases.resting(), *example))
    work = count_macs(model, *example) * config.train.batch_size
    threads = choose_threads(config.runtime.threads, work)
    total = config.train.steps or max(1, nearest_step(config.train.epochs, batches.steps_per_epoch))
    notes = [*dataset.notes, *(base.notes if base else ())]
    notes += begin.transfer.notes if begin.transfer else []
    notes += [*left_out_rows(config, batches), *far_from_zero(config, dataset)]
    precision = choose_precision(config.train.precision, device)
    every = config.eval_.every.in_steps(batches.steps_per_epoch)
    parts = Parts(
        config, dataset, device, threads, precision, config.task.target_kind, begin, task,
        begin.rules, effects, phases, batches, every, total, notes,
    )  # fmt: skip
    notes += parts.prefix.announcement()
    return parts


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
    if config.train.activation_checkpointing:
        checkpoint_blocks(parts.model)
    elif parts.precision.dtype is not None:  # casts take memory of their own
        precompute_casts(parts.model, parts.frozen, parts.precision.dtype)
    rate = config.optimizer.lr
    assert config.train.minutes is None, "a probe settles the length before"
    assert rate != "auto", "lr-find settles the rate before"
    state = State(
        model=parts.model,
        optimizers=config.optimizer.build(parameter_groups(parts), rate),
        schedule=config.schedule.build(parts.total, parts.batches.steps_per_epoch),
        set_trainable=parts.prefix.enter,
        scaler=parts.precision.scaler(),
        average=EMA(parts.model, config.train.ema, moving(parts)) if config.train.ema else None,
        base_lr=rate,
    )
    state.forward = parts.prefix.forward
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
