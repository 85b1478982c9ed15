"""Frozen weights by reference: which file holds each tensor, and whether it is still that file.

`frozen.json` beside a run's checkpoints names files with size, time, sha256 and the sha256 of
their header, and for each frozen tensor the file and the name that it has in there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from ftune.errors import CheckpointError, ReferencedFileError
from ftune.record import Record
from ftune.runs.files import read_json, sha256, write_atomic, write_json
from ftune.runs.gguf_tensors import GGUF, GgufTensors
from ftune.runs.nested import TORCH, weights_in
from ftune.runs.tensors import DTYPES, content_digest, tensor_sha256
from ftune.security.limits.memory import check
from ftune.security.untrusted_files import read_safetensors, read_torch

RECORD, PLACES = "frozen.json", "places.json"
MOST_HEADER = 2**26


@dataclass(frozen=True)
class Access:
    """How files outside a run are opened.

    verify: by their whole content; else by size, time and header, and by the content only where
    the time is another. base: the file or folder that holds them now.
    """

    verify: bool = True
    base: Path | None = None


WHOLE = Access()


@dataclass(frozen=True)
class ReferencedFile:
    """A file of tensors. beside: its path from the checkpoints' folder, where a run wrote it.

    content: `content_digest` of the tensors that are used, where they are computed from the file.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    header: str
    beside: str = ""
    content: str = ""

    @classmethod
    def of(cls, path: Path, digest: str, beside: str = "") -> ReferencedFile:
        stat = path.stat()
        return cls(
            str(path.resolve()), stat.st_size, stat.st_mtime_ns, digest, header(path), beside
        )

    @classmethod
    def parse(cls, stored: Record) -> ReferencedFile:
        """The inverse of `asdict`. Raises CheckpointError."""
        texts = {name: stored.text(name) for name in ("path", "sha256", "header")}
        counts = {name: stored.count(name) for name in ("size", "mtime_ns")}
        more = {name: stored.text(name, "") for name in ("beside", "content")}
        return cls(**texts, **counts, **more)

    def same(self, file: Path, verify: bool) -> bool:
        """Whether a file is this one."""
        stat = file.stat()
        if stat.st_size != self.size:
            return False
        if not verify and stat.st_mtime_ns == self.mtime_ns:
            return header(file) == self.header
        return sha256(file) == self.sha256


@dataclass(frozen=True)
class References:
    """tensors: for each frozen tensor the file's number, the name in there, and the dtype."""

    files: tuple[ReferencedFile, ...]
    tensors: Mapping[str, tuple[int, str, str]]

    def write(self, folder: Path) -> str:
        """Writes `frozen.json`; returns its sha256."""
        content = {"files": [asdict(file) for file in self.files], "tensors": self.tensors}
        data = json.dumps(content).encode()
        write_atomic(folder / RECORD, data)
        return hashlib.sha256(data).hexdigest()

    def tensors_in(self, folder: Path, access: Access) -> dict[str, Tensor]:
        """The tensors, from files that are still the same; tied ones share their memory.

        Raises ReferencedFileError for a file that is absent or another, CheckpointError for damage.
        """
        contents = [content_of(located(file, folder, access)) for file in self.files]
        entries = dict.fromkeys(self.tensors.values())
        try:
            loaded = {(n, key, t): contents[n][key].to(DTYPES[t]) for n, key, t in entries}
        except LookupError as error:
            raise CheckpointError(f"{folder / RECORD}: damaged: no tensor {error}") from None
        for number, file in enumerate(self.files):
            if not file.content:
                continue
            digests = {key: tensor_sha256(t) for (n, key, _), t in loaded.items() if n == number}
            if content_digest(digests) != file.content:
                raise CheckpointError(
                    f"{file.path}: the installed gguf reads other weights from it than those that "
                    f"{folder.parent} was trained on; install the version that the run used"
                )
        return {name: loaded[entry] for name, entry in self.tensors.items()}


def read(folder: Path, expected: str) -> References:
    """The record of a checkpoints' folder. Raises CheckpointError where it is not the expected."""
    file = folder / RECORD
    if not file.is_file() or sha256(file) != expected:
        raise CheckpointError(f"{file}: {'damaged' if file.is_file() else 'missing'}")
    record = Record.parse(read_json(file), file)
    tensors = Record(record.object("tensors"), file, "tensors")
    return References(
        tuple(map(ReferencedFile.parse, record.records("files"))),
        {name: tensors.entry(name, (int, str, str)) for name in tensors.values},
    )


def located(record: ReferencedFile, folder: Path, access: Access = WHOLE) -> Path:
    """Where a file lies now, checked. Raises ReferencedFileError, CheckpointError for our own."""
    candidates = list(_candidates(record, folder, access))
    file = next((path for path in candidates if path.is_file()), None)
    if file is None:
        if record.beside:
            raise CheckpointError(f"{folder / record.beside}: missing")
        if access.base is not None and access.base.is_dir():
            fault = f"{access.base}: holds no {Path(record.path).name} with these weights"
        else:
            fault = f"{candidates[0]}: is not there"
        raise ReferencedFileError(_message(record, folder, fault))
    check(str(file), file.stat().st_size, kind=CheckpointError)
    if record.same(file, access.verify or bool(record.beside)):
        return file
    if record.beside:
        raise CheckpointError(f"{file}: damaged")
    raise ReferencedFileError(_message(record, folder, f"{file}: is another file now"))


def content_of(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name, of torch.save's the weights. Raises CheckpointError."""
    if file.suffix == GGUF:
        return GgufTensors(file)
    if file.suffix not in TORCH:
        return read_safetensors(file)[1]
    content = read_torch(file)
    return weights_in(file, content, "")[0] if isinstance(content, Mapping) else {}


def note_place(run: Path, base: Path) -> bool:
    """Notes in a run, or in each trial of a sweep, where the files that it refers to lie now.

    Returns whether it refers to any.

    Raises ReferencedFileError where `base` does not hold them.
    """
    noted = False
    for file in (*run.glob(f"checkpoints/{RECORD}"), *run.glob(f"trials/*/checkpoints/{RECORD}")):
        folder = file.parent
        outside = [f for f in read(folder, sha256(file)).files if not f.beside]
        places = {f.sha256: str(located(f, folder, Access(base=base)).resolve()) for f in outside}
        write_json(folder / PLACES, places)
        noted = noted or bool(places)
    return noted


def _candidates(record: ReferencedFile, folder: Path, access: Access) -> Iterator[Path]:
    """Where a file may lie, the likeliest first."""
    if record.beside:
        yield folder / record.beside
    elif access.base is not None:
        yield from _moved(record, access.base)
        return
    elif moved := _places(folder).get(record.sha256):
        yield Path(moved)
    yield Path(record.path)


def _moved(record: ReferencedFile, base: Path) -> Iterator[Path]:
    """The file that was named, or the one in a folder that has the same name and content."""
    if base.is_dir():
        same_name = sorted(base.rglob(Path(record.path).name))
        yield from (file for file in same_name if file.is_file() and record.same(file, True))
    else:
        yield base.resolve()


def _places(folder: Path) -> Mapping[str, str]:
    if not (folder / PLACES).is_file():
        return {}
    try:
        places = Record.parse(read_json(folder / PLACES), folder / PLACES)
        return {digest: places.text(digest) for digest in places.values}
    except CheckpointError:  # only a hint: where it was needed, the file is said to be absent
        return {}


def _message(record: ReferencedFile, folder: Path, fault: str) -> str:
    run = folder.parent
    return (
        f"{fault}; {run} takes its frozen weights from it (sha256 {record.sha256[:12]}…). Where "
        f"that file has moved to, note it once by `ftune resume {run} --base NEW`"
    )


def header(path: Path) -> str:
    """sha256 of a safetensors file's header, which holds names, types and shapes.

    Of another file as much of its beginning as its first bytes, taken for a length, say.
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = min(int.from_bytes(start, "little"), MOST_HEADER)
        return hashlib.sha256(start + file.read(length)).hexdigest()


def beside(file: Path, folder: Path) -> str:
    """The path of a file from a checkpoints' folder."""
    return os.path.relpath(file.resolve(), folder.resolve())


def files_of(folder: Path) -> list[Path]:
    """The files that the checkpoints in a folder refer to, where they are the same still."""
    if not (folder / RECORD).is_file():
        return []
    record = read(folder, sha256(folder / RECORD))
    return [located(file, folder, Access(verify=False)) for file in record.files]
