"""`--base`: a trained model from wherever it lies, as tensors and, where known, their card.

Only tensors and JSON are read; files that would run code go through `security.untrusted_files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ftune.errors import CheckpointError
from ftune.places import expanded, url_fault
from ftune.runs import checkpoint
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.files import read_json
from ftune.runs.model_card import ModelCard
from ftune.runs.nested import TORCH, split_key, weights_in
from ftune.runs.references import WHOLE, Access
from ftune.security.limits import documents
from ftune.security.untrusted_files import read_safetensors, read_torch

if TYPE_CHECKING:
    from ftune.adapt.edits import Edit

CARD = "ftune"
ARRAYS = "ftune.pipeline"


@dataclass(frozen=True)
class Adapter:
    """One adapter of a base: its edits (adapt.edits), and its tensors by name."""

    source: Path
    edits: tuple[Edit, ...]
    tensors: Mapping[str, Tensor]


@dataclass
class Base:
    """tensors: weights by name. meta: configuration, pipeline and axes, if ftune wrote it.

    foreign: the folder, file or hub name that the model's own library reads (Hugging Face), in the
    place of tensors. adapters: what is put on top of them, in this order. key: where in the file
    the tensors were asked for. notes: what was taken in it without being asked for.
    """

    source: Path
    tensors: Mapping[str, Tensor]
    meta: Mapping[str, Any] = field(default_factory=dict)
    pipeline: Mapping[str, Tensor] = field(default_factory=dict)
    foreign: str | None = None
    adapters: tuple[Adapter, ...] = ()
    key: str = ""
    notes: tuple[str, ...] = ()

    @property
    def card(self) -> ModelCard:
        """What the model needs beside its weights. Raises CheckpointError for a damaged record."""
        return ModelCard.parse(self.meta, self.source)

    @property
    def names(self) -> str | list[str]:
        """What `base:` in a configuration says to load the same again."""
        sources = [self.source, *(adapter.source for adapter in self.adapters)]
        first, *rest = dict.fromkeys(str(s.resolve()) if s.exists() else str(s) for s in sources)
        first = f"{first}:{self.key}" if self.key else first
        return [first, *rest] if rest else first


def load_base(path: Path, access: Access = WHOLE) -> Base:
    """Reads a run folder, a checkpoint folder, `.safetensors` or `.pt`/`.pth`, or `file.pt:key`.

    Of Hugging Face models (folders, `.gguf`) only the place is noted: their library reads them.
    Raises CheckpointError for anything else, and for a file that would run code without consent.
    access: how the files are opened that a run refers to; raises ReferencedFileError for these.
    """
    if fault := url_fault(path):
        raise CheckpointError(fault)
    path, key = split_key(str(expanded(path)))
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder")
    if key and path.suffix not in TORCH:
        raise CheckpointError(f"{path}:{key}: only a file of torch.save holds weights under a key")
    if path.is_dir():
        return _from_folder(path, access)
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    if path.suffix == ".gguf":
        return Base(path, {}, foreign=str(path))
    if path.suffix in TORCH:
        return _from_torch(path, key)
    raise CheckpointError(
        f"{path}: expected a run folder, .safetensors, .pt, .pth, .gguf, or the folder of a"
        " Hugging Face model or PEFT adapter"
    )


def best_checkpoint(folder: Path, access: Access = WHOLE) -> Checkpoint:
    """The best of a run's `checkpoints`, else the latest, else the newest that is whole."""
    for name in ("best", "latest"):
        target = checkpoint.pointed(folder, name)
        if target is not None:
            try:
                return checkpoint.load(target, access=access)
            except CheckpointError:
                continue
    return checkpoint.newest_valid(folder, access)[0]


def _from_folder(path: Path, access: Access) -> Base:
    if (path / "checkpoints").is_dir():
        saved = best_checkpoint(path / "checkpoints", access)
    elif (path / "manifest.json").is_file():
        saved = checkpoint.load(path, access=access)
    elif (path / "adapter_config.json").is_file():
        return _from_peft(path)
    elif (path / "config.json").is_file():
        return Base(path, {}, foreign=str(path))
    elif (path / ".metadata").is_file():
        raise CheckpointError(
            f"{path}: not loaded: the index of a torch distributed checkpoint is a pickle, which "
            "could run code. Where you trust it, make one file with "
            "torch.distributed.checkpoint.format_utils.dcp_to_torch_save(folder, 'weights.pt')"
        )
    elif (path / "trials").is_dir():
        raise CheckpointError(f"{path}: a sweep; name one of its trials: {path / 'trials'}/NNNN")
    else:
        raise CheckpointError(
            f"{path}: neither a run folder, a checkpoint folder, a Hugging Face model (config.json)"
            " nor a PEFT adapter (adapter_config.json)"
        )
    return Base(path, weights(saved), _placeless(saved.meta), saved.pipeline)


def _from_peft(path: Path) -> Base:
    """An adapter, on the model that it names."""
    from ftune.adapt.peft_format import read_peft

    edits, tensors = read_peft(path)
    named = read_json(path / "adapter_config.json").get("base_model_name_or_path")
    foreign = named if isinstance(named, str) and named else None
    return Base(path, {}, foreign=foreign, adapters=(Adapter(path, tuple(edits), tensors),))


def weights(found: Checkpoint) -> dict[str, Tensor]:
    """The weights to use: the averaged ones where the run kept an average (EMA)."""
    averaged = {
        k.removeprefix("ema/"): t for k, t in found.training.items() if k.startswith("ema/")
    }
    return {**found.frozen, **found.model, **averaged}


def _from_safetensors(path: Path) -> Base:
    stored, tensors = read_safetensors(path)
    metadata = _metadata(path, stored.get(CARD))
    own = {k: t for k, t in tensors.items() if not k.startswith(f"{ARRAYS}/")}
    arrays = {k.removeprefix(f"{ARRAYS}/"): t for k, t in tensors.items() if k not in own}
    return Base(path, own, metadata, arrays)


def _from_torch(path: Path, key: str) -> Base:
    content = read_torch(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a state dict")
    metadata, arrays = _metadata(path, content.get(CARD)), content.get(ARRAYS)
    arrays = arrays if isinstance(arrays, Mapping) else {}
    weights = {k: v for k, v in content.items() if k not in (CARD, ARRAYS)}
    tensors, notes = weights_in(path, weights, key)
    return Base(path, tensors, metadata, arrays, key=key, notes=tuple(notes))


def _metadata(path: Path, text: object) -> dict[str, Any]:
    """What ftune wrote beside the tensors, as JSON; empty in the files of others."""
    if not isinstance(text, str):
        return {}
    metadata = documents.loads(text, f"{path}: its `{CARD}`")
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path}: damaged: its `{CARD}` is no JSON object")
    return _placeless(metadata)


def _placeless(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Without the places that the configuration writes to: a file from elsewhere chooses none."""
    config = meta.get("config")
    if not isinstance(config, dict):
        return dict(meta)
    data = config.get("data")
    if isinstance(data, dict) and isinstance(data.get("cache"), str):
        config = {**config, "data": {k: v for k, v in data.items() if k != "cache"}}
    return {**meta, "config": {k: v for k, v in config.items() if k != "output"}}
