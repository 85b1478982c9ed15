"""The peak memory that a training will need, from one step on its largest micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ftune.assembly.job import scored_splits
from ftune.models.call import output_layer, targets
from ftune.models.chunked import CHUNK_BYTES
from ftune.plan.probe import Probe
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.gguf_tensors import GGUF
from ftune.runtime import usage
from ftune.training.checkpoint_content import checkpoint_of
from ftune.training.frozen_storage import frozen_storage


@dataclass(frozen=True)
class Memory:
    """Bytes beyond those of the imported libraries.

    building: the peak while files are read and the model is made. The others are there in a
    training step, if not all at once. activations: what the backward pass needs, without the
    logits. copy: of the state, while a checkpoint is written. compared: of the
    base's files, whose tensors the first checkpoint looks for. other: what is measured beyond all
    these: temporary results, libraries that were loaded later, memory that is free and not given
    back. evaluation: the peak of an evaluation. best: that of loading the best step. transient: by
    how much a step rises above what is there before it. measured: whether the system tells; else
    `other` and the peaks are 0.
    """

    building: int
    parameters: int
    data: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    logits: int
    copy: int
    compared: int
    other: int
    evaluation: int
    best: int
    transient: int
    measured: bool

    @property
    def step(self) -> int:
        """The peak of a training step."""
        parts = (
            self.parameters, self.data, self.gradients, self.optimizer, self.average,
            self.activations, self.logits, self.copy, self.compared, self.other,
        )  # fmt: skip
        return sum(parts)

    @property
    def peak(self) -> int:
        """The most at any time."""
        return max(self.building, self.step, self.evaluation, self.best)


def predict(probe: Probe, libraries: int | None) -> Memory:
    """Return what the training will need at its peak.

    libraries: bytes in use before anything was read. Takes steps of the probe.
    """
    parts, state = probe.parts, probe.state
    device = parts.device
    building, step = usage.peak(device), probe.largest
    usage.restart_peak(device)
    if "val" in parts.dataset.splits:
        _evaluate(probe, ["val"])  # as before the first step
    with saved_bytes(probe) as saved:
        probe.step(step)  # makes the state of the optimizer
    first, before = usage.peak(device) or 0, usage.used(device) or 0
    usage.restart_peak(device)
    probe.step(step)
    transient = (usage.peak(device) or 0) - before
    stepped = max(first, before + transient)
    usage.restart_peak(device)
    evaluated = _evaluate(probe, scored_splits(parts))
    tensors = state.tensors()[0]
    activations = saved()
    logits = min(_logits(probe, step), activations)
    known = {
        "parameters": nbytes([*parts.model.parameters(), *parts.model.buffers()]),
        "data": data_bytes(probe),
        "gradients": nbytes(state.gradients()),
        "optimizer": nbytes(t for k, t in tensors.items() if k.startswith("optimizer/")),
        "average": nbytes(t for k, t in tensors.items() if k.startswith("ema/")),
        "activations": activations - logits,
        "logits": logits,
    }
    content = checkpoint_of(parts, state, {})
    known |= {"copy": content.size, "compared": _compared(probe, content)}
    beside = content.size + known["compared"]
    if libraries is None or building is None:
        return Memory(
            0, **known, other=0, evaluation=0, best=0, transient=transient, measured=False
        )
    other = stepped + beside - libraries - sum(known.values())
    return Memory(
        building - libraries, **known, other=other,
        evaluation=evaluated - libraries + content.size,
        best=before - libraries - known["gradients"] + content.size + content.shared_size,
        transient=transient, measured=True,
    )  # fmt: skip


def _compared(probe: Probe, content: Checkpoint) -> int:
    """Return the bytes of the files that may hold the frozen tensors, and of what is unpacked."""
    storage = frozen_storage(probe.config, Path())
    if not content.frozen or storage.standalone:
        return 0
    files = [file for file in storage.sources if file.is_file()]
    packed = any(file.suffix == GGUF for file in files)
    largest = max(nbytes([tensor]) for tensor in content.frozen.values())
    return sum(file.stat().st_size for file in files) + 2 * largest * packed


def _evaluate(probe: Probe, names: Iterable[str]) -> int:
    """Score the largest batch of each split; return the peak."""
    with probe.state.evaluated():
        for name in names:
            probe.evaluate(name)
    return usage.peak(probe.parts.device) or 0


@contextmanager
def saved_bytes(probe: Probe) -> Iterator[Callable[[], int]]:
    """Give the bytes that autograd kept of micro-batches for the backward pass, of the largest.

    Each storage counts once; those of parameters and buffers do not count.
    """
    known = [*probe.parts.model.parameters(), *probe.parts.model.buffers()]
    aside = {tensor.untyped_storage().data_ptr() for tensor in known}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in aside:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield lambda: sum(sizes.values())


def _logits(probe: Probe, step: int) -> int:
    """Return the bytes of the outputs of a micro-batch that are there at once."""
    whole = 4 * int(targets(probe.batch(step))) * probe.parts.task.outputs
    return min(whole, CHUNK_BYTES) if output_layer(probe.parts.model) is not None else whole


def data_bytes(probe: Probe) -> int:
    """Return the bytes of the rows that stay in memory."""
    splits = probe.parts.dataset.splits.values()
    held = [tensor for split in splits for tensor in (split.y, split.raw, split.rows)]
    held += [value for split in splits for value in vars(split.inputs).values()]
    return nbytes(value for value in held if isinstance(value, Tensor))


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of tensors, each storage once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
