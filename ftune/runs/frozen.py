"""What no step changes is on disk once: in the base's own files, for a whole sweep, or for a run.

A tensor is taken from a file where its bits are the same; what one file holds under two names, or
a model ties, is stored once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ftune.errors import FtuneError
from ftune.runs import references
from ftune.runs.files import replacing, sha256, write_atomic, write_json
from ftune.runs.gguf_tensors import GGUF
from ftune.runs.references import RECORD, ReferencedFile, References
from ftune.runs.tensors import content_digest, tensor_sha256, write_tensors
from ftune.security.consent import opened

FROZEN, SHARED = "frozen.safetensors", "frozen-{}.safetensors"
Digest = tuple[torch.dtype, torch.Size, str]


@dataclass(frozen=True)
class FrozenStorage:
    """Where the frozen tensors of a run may lie.

    sources: files that the weights come from. shared: the folder of a sweep, whose trials store
    them once. standalone: in the run itself, whatever else there is.
    """

    sources: tuple[Path, ...] = ()
    shared: Path | None = None
    standalone: bool = False


IN_RUN = FrozenStorage()


def store(folder: Path, tensors: Mapping[str, Tensor], storage: FrozenStorage) -> dict[str, str]:
    """Stores them unless an earlier checkpoint has; returns what a manifest says of them."""
    file, note = folder / FROZEN, folder / f".{FROZEN}.sha256"
    if file.is_file() and note.is_file():
        return {"frozen": note.read_text(encoding="ascii")}
    if (folder / RECORD).is_file():
        return {"references": sha256(folder / RECORD)}
    if storage.standalone:
        with replacing(file) as temporary:
            digest = write_tensors(temporary, tensors)
        write_atomic(note, digest.encode("ascii"))
        return {"frozen": digest}
    wanted = {name: digest_of(tensor) for name, tensor in tensors.items()}
    record = _referenced(folder, wanted, storage) or _written(folder, tensors, wanted, storage)
    return {"references": record.write(folder)}


def digest_of(tensor: Tensor) -> Digest:
    """What two tensors have in common whose bits are the same."""
    return tensor.dtype, tensor.shape, tensor_sha256(tensor)


def _referenced(
    folder: Path, wanted: Mapping[str, Digest], storage: FrozenStorage
) -> References | None:
    """References to files that are there; None where one of the tensors is in none of them."""
    shared = sorted(storage.shared.glob(SHARED.format("*"))) if storage.shared else []
    holders: dict[Digest, tuple[Path, str]] = {}
    with_consent = {Path(entry["file"]).resolve() for entry in opened()}  # none is run twice
    for file in (f for f in (*storage.sources, *shared) if f.resolve() not in with_consent):
        if missing := set(wanted.values()) - set(holders):
            with suppress(FtuneError, OSError):  # it is damaged, or gone: it holds nothing
                holders |= dict(_held(file, missing))
    if set(wanted.values()) - set(holders):
        return None
    files = list(dict.fromkeys(file for file, _ in holders.values()))
    try:
        for file in files:
            _retain(file)
        records = [
            replace(
                _record(folder, file, sha256(file), file in shared),
                content=_computed(file, holders),
            )
            for file in files
        ]
    except OSError:  # a base's folder that takes no note might lose the file
        return None
    places = {digest: (files.index(file), name) for digest, (file, name) in holders.items()}
    return _references(records, wanted, places)


def _held(file: Path, wanted: Collection[Digest]) -> Iterator[tuple[Digest, tuple[Path, str]]]:
    """Which of the wanted tensors a file holds, and under which name; also in a smaller dtype."""
    shapes = {(shape, dtype) for dtype, shape, _ in wanted}
    for name, tensor in references.content_of(file).items():
        for shape, dtype in shapes:
            same_kind = dtype == tensor.dtype or (
                dtype.is_floating_point and tensor.is_floating_point()
            )
            if shape == tensor.shape and same_kind:
                digest = digest_of(tensor.to(dtype))
                if digest in wanted:
                    yield digest, (file, name)


def _computed(file: Path, holders: Mapping[Digest, tuple[Path, str]]) -> str:
    """What tells whether the tensors of a GGUF file come out the same; "" for stored ones."""
    if file.suffix != GGUF:
        return ""
    used = {name: digest[2] for digest, (holder, name) in holders.items() if holder == file}
    return content_digest(used)


def _retain(file: Path) -> None:
    """Points at the checkpoint of another run that a file is part of, so that it stays."""
    step = file.parent
    if step.name.startswith("step-") and (step / "manifest.json").is_file():
        pointer = step.parent / f"referenced-{step.name}.json"
        if not pointer.is_file():
            write_json(pointer, {"checkpoint": step.name})


def _written(
    folder: Path, tensors: Mapping[str, Tensor], wanted: Mapping[str, Digest],
    storage: FrozenStorage,
) -> References:  # fmt: skip
    """References to a file of the run, or of its sweep, that is written now; each content once."""
    first = {digest: name for name, digest in reversed(list(wanted.items()))}
    home = storage.shared or folder
    file = home / FROZEN
    with replacing(file) as temporary:
        digest = write_tensors(temporary, {name: tensors[name] for name in first.values()})
    if storage.shared:
        file = file.replace(home / SHARED.format(digest[:16]))
    record = _record(folder, file, digest, own=True)
    return _references([record], wanted, {key: (0, name) for key, name in first.items()})


def _record(folder: Path, file: Path, digest: str, own: bool) -> ReferencedFile:
    return ReferencedFile.of(file, digest, references.beside(file, folder) if own else "")


def _references(
    files: Sequence[ReferencedFile],
    wanted: Mapping[str, Digest],
    places: Mapping[Digest, tuple[int, str]],
) -> References:
    entries = {
        name: (*places[digest], str(digest[0]).removeprefix("torch."))
        for name, digest in wanted.items()
    }
    return References(tuple(files), entries)
