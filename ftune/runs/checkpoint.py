"""Checkpoints: folders of tensors and JSON with a manifest of hashes.

A checkpoint holds everything: weights, optimizer and loop state, the fitted data pipeline and
the configuration. `latest.json` and `best.json` beside the folders point at two of them. The
order of writing – beside, sync, rename, sync, pointer, delete old – leaves at least one valid
checkpoint at every instant.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ftune.errors import CheckpointError, RunFailedError
from ftune.record import Record
from ftune.runs import references
from ftune.runs.files import (
    free_bytes,
    read_json,
    replacing,
    sha256,
    sync_folder,
    write_atomic,
    write_durable,
)
from ftune.runs.frozen import FROZEN, IN_RUN, FrozenStorage, store
from ftune.runs.loop_state import LoopState
from ftune.runs.model_card import ModelCard
from ftune.runs.references import WHOLE, Access
from ftune.runs.tensors import write_tensors
from ftune.runtime.memory import memory
from ftune.security.limits.memory import check

FORMAT, REFERRING = 1, 2
"""Of a checkpoint that holds everything, and of one with its frozen tensors in other files."""


@dataclass
class Checkpoint:
    """The content of one checkpoint.

    model: weights and buffers by name. frozen: those that no step changes; they are on disk once
    for all steps of a run. training: optimizer, EMA and random state, by name. pipeline: arrays of
    the fitted transforms. meta: configuration, pipeline, axes, loop state.
    """

    model: Mapping[str, Tensor]
    meta: Mapping[str, Any]
    training: Mapping[str, Tensor] = field(default_factory=dict)
    pipeline: Mapping[str, Tensor] = field(default_factory=dict)
    frozen: Mapping[str, Tensor] = field(default_factory=dict)
    path: Path | None = None

    @property
    def state_file(self) -> Path | str:
        """Where `meta` was read from, for messages."""
        return self.path / "state.json" if self.path else "the checkpoint"

    @property
    def loop(self) -> LoopState:
        """Where the training stands. Raises CheckpointError for a damaged record."""
        return LoopState.parse(self.meta.get("loop"), self.state_file)

    @property
    def card(self) -> ModelCard:
        """What the model needs beside its weights. Raises CheckpointError for a damaged record."""
        return ModelCard.parse(self.meta, self.state_file)

    @property
    def exact(self) -> Record:
        """What a continued training must have in common. Raises CheckpointError."""
        return Record.parse(self.meta.get("exact"), self.state_file, "exact")

    def copied(self) -> Checkpoint:
        """The same in memory of its own, so that training can go on while it is written.

        What no step changes is shared. Raises OutOfMemoryError.
        """
        with memory("copying the state for a checkpoint"):
            return replace(self, model=_copies(self.model), training=_copies(self.training))

    @property
    def size(self) -> int:
        """Bytes of the tensors that each checkpoint of a run holds."""
        return _bytes(self.model, self.training, self.pipeline)

    @property
    def shared_size(self) -> int:
        """Bytes of what is on disk once for all of them."""
        return _bytes(self.frozen)


def save(folder: Path, checkpoint: Checkpoint, step: int, storage: FrozenStorage = IN_RUN) -> Path:
    """Writes `folder/step-00000012` and returns it. Raises RunFailedError when the disk is full."""
    target = place(folder, step)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.mkdir()
            frozen = store(folder, checkpoint.frozen, storage) if checkpoint.frozen else {}
            _write(temporary, checkpoint, frozen)
            if target.exists():  # the same step once more, after a resume
                shutil.rmtree(target)
    except OSError as error:
        free = free_bytes(folder)
        raise RunFailedError(
            f"cannot save a checkpoint in {folder}: {error.strerror}; it needs "
            f"{checkpoint.size:,} bytes, {free:,} are free. Earlier checkpoints are untouched."
        ) from None
    return target


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}"


def point(folder: Path, name: str, target: Path, **facts: Any) -> None:
    """Makes `latest.json` or `best.json` point at a checkpoint."""
    write_atomic(folder / f"{name}.json", json.dumps({"checkpoint": target.name, **facts}).encode())


def prune(folder: Path, keep: int, others: Collection[str] = ()) -> None:
    """Deletes all but the newest `keep` checkpoints, those a pointer names, and `others`.

    What a killed process left half written goes too: a run has one writer.
    """
    named = {pointed(folder, p.stem) for p in folder.glob("*.json")}
    named |= {folder / name for name in others}
    for old in sorted(folder.glob("step-*"))[:-keep]:
        if old not in named:
            shutil.rmtree(old)
    for torn in folder.glob(".*.tmp"):
        shutil.rmtree(torn) if torn.is_dir() else torn.unlink()


def load(path: Path, frozen: bool = True, access: Access = WHOLE) -> Checkpoint:
    """Reads one checkpoint folder and checks every file against its hash.

    `frozen`: also what no step changes, from the folder above or, by `access`, from the files that
    are referred to. Raises CheckpointError, ReferencedFileError for one of these.
    """
    manifest_file = path / "manifest.json"
    if not manifest_file.is_file():
        raise CheckpointError(f"{path}: not a checkpoint (no manifest.json)")
    try:
        manifest = read_json(manifest_file)
        hashes, version = dict(manifest["files"]), int(manifest["format"])
        shared, record = manifest.get("frozen"), manifest.get("references")
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{manifest_file}: damaged") from None
    if version > REFERRING:
        raise CheckpointError(f"{path}: written by a newer ftune (format {version})")
    if version < 1 or set(hashes) != FILES:
        raise CheckpointError(f"{manifest_file}: damaged")
    wanted = {path / name: expected for name, expected in hashes.items()}
    if shared and frozen:
        wanted[path.parent / FROZEN] = shared
    for file, expected in wanted.items():
        if file.is_file():  # a file of holes claims more than the disk has
            check(str(file), file.stat().st_size, kind=CheckpointError)
        if not file.is_file() or sha256(file) != expected:
            raise CheckpointError(f"{file}: {'damaged' if file.is_file() else 'missing'}")
    try:
        parts = {n: load_file(path / f"{n}.safetensors") for n in TENSOR_FILES}
        if shared and frozen:
            parts["frozen"] = load_file(path.parent / FROZEN)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    if record and frozen:
        parts["frozen"] = references.read(path.parent, record).tensors_in(path.parent, access)
    meta = read_json(path / "state.json")
    if not isinstance(meta, dict):
        raise CheckpointError(f"{path / 'state.json'}: damaged: no mapping")
    return Checkpoint(meta=meta, path=path, **parts)


TENSOR_FILES = ("model", "training", "pipeline")
FILES = {"state.json", *(f"{name}.safetensors" for name in TENSOR_FILES)}


def pointed(folder: Path, name: str) -> Path | None:
    """The checkpoint that `latest` or `best` points at, if there is one."""
    try:
        target = folder / Path(read_json(folder / f"{name}.json")["checkpoint"]).name
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return target if target.is_dir() else None


def newest_valid(folder: Path, access: Access = WHOLE) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, with a sentence for each damaged one passed over."""
    remarks: list[str] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return load(path, access=access), remarks
        except CheckpointError as error:
            remarks.append(f"passed over a damaged checkpoint: {error}")
    raise CheckpointError("\n".join([f"{folder}: no usable checkpoint", *remarks]))


def _write(folder: Path, checkpoint: Checkpoint, frozen: Mapping[str, str]) -> None:
    hashes = {}
    for name in TENSOR_FILES:
        file = folder / f"{name}.safetensors"
        hashes[file.name] = write_tensors(file, getattr(checkpoint, name))
    write_durable(folder / "state.json", json.dumps(checkpoint.meta).encode())
    hashes["state.json"] = sha256(folder / "state.json")
    version = REFERRING if "references" in frozen else FORMAT
    manifest = {"format": version, "files": hashes, **frozen}
    write_durable(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
    sync_folder(folder)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}


def _bytes(*parts: Mapping[str, Tensor]) -> int:
    return sum(t.numel() * t.element_size() for part in parts for t in part.values())
