"""Parts and states as facts: what a checkpoint holds, and what the user is shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

from ftune.adapt.edits import write_edits
from ftune.adapt.quantize import base_state_dict
from ftune.adapt.rules import rule_table
from ftune.assembly.job import selection_of
from ftune.assembly.parts import Parts
from ftune.config.dump import dump
from ftune.console import Console
from ftune.data.profile.profile import show
from ftune.engine.state import State
from ftune.extend import loaded_code
from ftune.runs.checkpoint import Checkpoint
from ftune.schema.root import RunConfig
from ftune.security.redact import left_out, redact_tree, stored
from ftune.training.reach import Length, unreached


def checkpoint_of(
    parts: Parts,
    state: State,
    told: Mapping[str, Any],
    recorded: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Everything that a resume, an evaluation, a prediction or a finetune will need.

    told: `model_card` and `exact` of the parts, the same all through a run. recorded: what the
    recorder goes on from.
    """
    training, loop = state.tensors()
    weights, still = base_state_dict(parts.model, packed=True), parts.frozen
    return Checkpoint(
        model={k: t for k, t in weights.items() if k not in still},
        frozen={k: t for k, t in weights.items() if k in still},
        training=training,
        pipeline={k: torch.from_numpy(v) for k, v in parts.dataset.pipeline.arrays().items()},
        meta={**told, "loop": {**loop, **(recorded or {})}},
    )


def model_card(config: RunConfig, parts: Parts) -> dict[str, Any]:
    """What a model needs beside its weights to be used again."""
    axes = {
        name: [{"dim": a.dim, "names": list(a.names), "role": a.role} for a in of_tensor]
        for name, of_tensor in parts.built.axes.items()
    }
    return {
        "config": stored(dump(config)),
        "pipeline": parts.dataset.pipeline.to_json(),
        "axes": axes,
        "head": parts.built.head,
        "model": redact_tree(parts.built.model_card),
        **write_edits(parts.origin.edits),
        "fresh": parts.origin.fresh,
        "class_counts": class_counts(parts),
        "code": loaded_code(),
    }


def class_counts(parts: Parts) -> list[int]:
    """Training rows of each class, from which balanced weights follow; empty for other targets."""
    classes = parts.dataset.pipeline.target.classes
    targets = parts.dataset.train.y
    if targets is None or targets.dim() > 1:
        return []
    counts: list[int] = torch.bincount(targets, minlength=len(classes)).tolist()
    return counts


def show_parts(console: Console, config: RunConfig, parts: Parts) -> None:
    """The data, the base's table, the rules' table, and what is worth a sentence."""
    pipeline = parts.dataset.pipeline
    sizes = [f"{name} {len(s):,}" for name, s in parts.dataset.splits.items()]
    shape = "×".join(map(str, pipeline.features.shape))
    console.info(f"data: {', '.join(sizes)} rows; inputs {shape}; {parts.task.outputs} outputs")
    if parts.dataset.profile is not None:
        show(parts.dataset.profile, console)
    if parts.origin.transfer is not None:
        columns = ("base", "tensors", "parameters", "share", "names")
        console.table("", columns, parts.origin.transfer.rows())
    if parts.rules:
        heads = ("rule", "tensors", "parameters", "state")
        console.table("", heads, rule_table(parts.rules, parts.effects, parts.sizes))
    total, threads = sum(parts.sizes.values()), parts.threads
    console.info(
        f"model: {total:,} parameters, {parts.trainable:,} trained; {parts.total:,} steps of "
        f"{parts.batches.rows_per_step} rows; "
        f"{parts.device}, {threads} thread{'s' if threads > 1 else ''}"
    )
    for note in [*parts.notes, *beyond(config, parts)]:
        console.info(f"note: {note}")
    for key in left_out(dump(config)):
        console.info(
            f"note: {key}: a secret, so it is not kept and the run cannot be repeated from its "
            "config.yaml; ${oc.env:NAME} and `runtime.env: [NAME]` would be"
        )


def beyond(config: RunConfig, parts: Parts) -> list[str]:
    """What this training, whose length is known now, never reaches."""
    per_epoch = parts.batches.steps_per_epoch
    length = Length(parts.total, parts.total / per_epoch, per_epoch)
    return unreached(config, length, parts.dataset.val is not None)


def ending(config: RunConfig, parts: Parts, state: State) -> list[str]:
    """What is worth a sentence after a training: steps without an update, no step that was best."""
    notes = []
    if state.skipped:
        overflows = state.skipped - state.skipped_faults
        why = {
            "skipped, as their fp16 gradients overflowed at the loss scale of the time": overflows,
            "left out as faults": state.skipped_faults,
        }
        reasons = " and ".join(f"{count:,} {reason}" for reason, count in why.items() if count)
        notes.append(
            f"{state.updates:,} of {state.step:,} steps updated the model, and by these the "
            f"schedule and the average went; {reasons}"
        )
    if state.best is not None and state.best.step == 0:
        notes.append(untrained(config))
    if state.best is None and parts.dataset.val is not None:
        notes.append(
            f"validation {selection_of(parts).metric} was at no evaluation a finite number, so"
            " nothing could be chosen by it: the result is the last step"
        )
    return notes


def untrained(config: RunConfig) -> str:
    """What a best step of 0 means."""
    based = config.base or getattr(config.model, "source", None)
    what = "the base as it was" if based else "the untrained model"
    return f"no evaluation was better than that before the first step: the result is {what}"


def peak_memory() -> int | None:
    """Return the peak in bytes: of the GPU where one is used, else of the process's resident set.

    None where the system does not count it.
    """
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def show_scores(console: Console, scores: dict[str, dict[str, float]]) -> None:
    """Metrics of the splits side by side."""
    names = list(dict.fromkeys(name for of_split in scores.values() for name in of_split))
    rows = [(name, *(scores[split].get(name) for split in scores)) for name in names]
    console.table("", ("metric", *scores), rows)
