"""`ftune plan`: what a training would need and do, on the real data, without training."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ftune.adapt.rules import rule_table
from ftune.assembly.build import base_pipeline, build, read_data
from ftune.assembly.parts import Parts
from ftune.commands.base_config import with_base
from ftune.console import Console, duration
from ftune.data.dataset import Dataset
from ftune.errors import RequestError
from ftune.objectives import Batch
from ftune.plan.memory import Memory, predict
from ftune.plan.preview import preview, show
from ftune.plan.probe import Probe, rehearsed
from ftune.plan.time import Speed, measure, repeat
from ftune.runs.base import Base
from ftune.runtime import usage
from ftune.runtime.device import choose
from ftune.runtime.precision import choose_precision
from ftune.runtime.preserve import preserve_globals
from ftune.runtime.processes import refuse_several
from ftune.schema.root import RunConfig
from ftune.training.checkpoint_content import show_parts

PEAKS = {"evaluation": "an evaluation", "best": "loading the best step", "building": "building"}
APART = (*PEAKS, "transient", "measured")


def plan(config: RunConfig, base: Base | None, console: Console) -> dict[str, Any]:
    """Print what the training of a configuration would need; return it as the summary."""
    refuse_several()
    libraries = usage.used(choose(config.runtime.device))
    with preserve_globals():
        return _planned(config, base, console, libraries)


def _planned(
    config: RunConfig, base: Base | None, console: Console, libraries: int | None
) -> dict[str, Any]:
    began = time.perf_counter()
    config = with_base(config, base) if base else config
    dataset = read_data(config, prior=base_pipeline(base))
    settled = rehearsed(config)
    parts = build(settled, dataset, base)
    reading = time.perf_counter() - began
    probe = Probe(parts, settled)
    memory = predict(probe, libraries)
    speed = measure(probe)
    parts.notes += _unsettled(config)
    if config.train.minutes is not None:
        parts.total = speed.steps_in(60 * config.train.minutes)
    show_parts(console, settled, parts)
    samples = preview(parts)
    batch = probe.batch(probe.largest)
    _show_loss(parts, samples, batch, console)
    seconds = reading + speed.whole(parts.total)
    _show_memory(memory, libraries, console)
    _show_time(config, parts, speed, seconds, console)
    total, facts = parts.total, _facts(parts, batch, samples)
    before = _fastest(probe)
    del probe, parts, batch
    options = list(_options(settled, dataset, base, memory, before))
    heads = ("what a setting changes", "MB", "time of a step")
    console.table(
        "", heads, [(o["change"], o["memory"] / 1e6, f"{o['time']:+.0%}") for o in options]
    )
    sizes = {**vars(memory), "step": memory.step, "peak": memory.peak, "libraries": libraries}
    return {
        "command": "plan", "status": "done", **facts, "memory": sizes,
        "time": {**vars(speed), "epoch": speed.epoch, "reading": reading, "seconds": seconds},
        "steps": total, "cost": config.runtime.cost(seconds), "options": options,
    }  # fmt: skip


def _unsettled(config: RunConfig) -> list[str]:
    searched = config.optimizer.lr == "auto"
    return ["optimizer.lr is auto: the time of its search is not in the plan"] * searched


def _facts(parts: Parts, batch: Batch, samples: Sequence[Sequence[Any]]) -> dict[str, Any]:
    columns = ("rule", "tensors", "parameters", "state")
    rules = rule_table(parts.rules, parts.effects, parts.sizes)
    return {
        "parameters": {"total": sum(parts.sizes.values()), "trainable": parts.trainable},
        "rules": [dict(zip(columns, row, strict=True)) for row in rules],
        "batch": {name: list(tensor.shape) for name, tensor in batch.items()},
        "preview": [[list(token) for token in sample] for sample in samples],
        "notes": parts.notes,
    }


def _show_loss(
    parts: Parts, samples: Sequence[Sequence[Any]], batch: Batch, console: Console
) -> None:
    """Print the shapes of the largest batch, and what of it counts."""
    shapes = [f"{name} {'×'.join(map(str, tensor.shape))}" for name, tensor in batch.items()]
    console.info(
        f"{parts.batches.steps_per_epoch:,} steps an epoch; the largest batch: {', '.join(shapes)}"
    )
    if samples:
        show(samples, parts, console)
    else:
        console.info("what counts in the loss: the target of each row, once")


def _show_memory(memory: Memory, libraries: int | None, console: Console) -> None:
    kinds = [
        (name, size / 1e6) for name, size in vars(memory).items() if size and name not in APART
    ]
    rows = [*kinds, ("peak of a step", memory.step / 1e6)]
    if memory.measured:
        sizes = vars(memory)
        rows += [(f"peak of {words}", sizes[name] / 1e6) for name, words in PEAKS.items()]
    console.table("", ("memory", "MB"), rows)
    least = "" if memory.measured else "at least "
    beside = f", beside {libraries / 1e6:,.0f} MB of the libraries" if libraries else ""
    console.info(f"memory: {least}{memory.peak / 1e6:,.0f} MB at the peak{beside}")


def _show_time(
    config: RunConfig, parts: Parts, speed: Speed, seconds: float, console: Console
) -> None:
    early = "at most " if config.train.early_stop else ""
    cost = config.runtime.cost(seconds)
    console.info(
        f"time: {1000 * speed.step:.3g} ms a step, {speed.evaluation:.2g} s an evaluation, "
        f"{_spoken(speed.epoch)} an epoch; {early}{_spoken(seconds)} for {parts.total:,} steps"
        + (f"; cost {cost:.2f}" if cost is not None else "")
    )


def _spoken(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def _options(
    config: RunConfig, dataset: Dataset, base: Base | None, memory: Memory, before: float
) -> Iterator[dict[str, Any]]:
    """Yield what other settings change: bytes of a step, and the share of time."""
    for change, other in _alternatives(config):
        gc.collect()
        try:
            probe = Probe(build(other, dataset, base), other)
        except RequestError:  # a model without blocks has none to compute again
            continue
        moved = predict(probe, None).transient - memory.transient
        yield {"change": change, "memory": moved, "time": _fastest(probe) / before - 1}
        del probe


def _fastest(probe: Probe) -> float:
    """Return the seconds of the fastest step on the largest batch: what slows others is no cost."""
    repeat([probe.largest], probe.step, 1.0)
    largest = probe.costs[probe.largest]
    return min(seconds for cost, seconds in probe.steps if cost == largest)


def _alternatives(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    train = config.train
    if choose_precision(train.precision, choose(config.runtime.device)).dtype is None:
        yield "train.precision=bf16", replace(config, train=replace(train, precision="bf16"))
    if not train.activation_checkpointing:
        recomputing = replace(train, activation_checkpointing=True)
        yield "train.activation_checkpointing=true", replace(config, train=recomputing)
    if train.batch_size % 2 == 0 and train.batch_size > 2:
        half, twice = train.batch_size // 2, 2 * train.accumulate
        smaller = replace(train, batch_size=half, accumulate=twice)
        yield f"train.batch_size={half} train.accumulate={twice}", replace(config, train=smaller)
