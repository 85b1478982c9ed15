"""The files whose tensors a run need not store again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ftune.runs import checkpoint
from ftune.runs.frozen import IN_RUN, FrozenStorage
from ftune.runs.gguf_tensors import GGUF
from ftune.runs.nested import TORCH, split_key
from ftune.runs.references import RECORD, files_of
from ftune.schema.root import RunConfig


def frozen_storage(config: RunConfig, folder: Path) -> FrozenStorage:
    """Where the frozen tensors of a run may lie, whose checkpoints go into a folder."""
    if (folder / RECORD).is_file():  # a run that goes on refers to what it referred to
        return IN_RUN
    if config.output is not None and config.output.standalone:
        return FrozenStorage(standalone=True)
    trials = folder.parent.parent
    of_sweep = trials.name == "trials" and (trials.parent / "run.json").is_file()
    shared = trials.parent if of_sweep else None
    return FrozenStorage(tuple(dict.fromkeys(_sources(config))), shared)


def _sources(config: RunConfig) -> Iterator[Path]:
    """The files of tensors of the base, and of the files of a model of Hugging Face."""
    bases: Sequence[str] = [config.base] if isinstance(config.base, str) else config.base or []
    source = getattr(config.model, "source", None)
    for name in (*bases, *([source] if isinstance(source, str) else [])):
        path = split_key(name)[0]
        yield from _files(path if path.exists() else _cached(name) or path)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file() and path.suffix in (".safetensors", GGUF, *TORCH):
        yield path.resolve()
    elif (path / "checkpoints").is_dir():
        for name in ("best", "latest"):
            if target := checkpoint.pointed(path / "checkpoints", name):
                yield from _files(target)
                return
    elif (path / "manifest.json").is_file():
        yield from sorted(path.resolve().glob("*.safetensors"))
        yield from sorted(path.resolve().parent.glob("frozen.safetensors"))
        yield from files_of(path.resolve().parent)
    elif path.is_dir():
        yield from sorted(path.resolve().glob("*.safetensors"))


def _cached(name: str) -> Path | None:
    """The folder of a cached model of the hub."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # no such library, no such name, nothing cached
        return None
