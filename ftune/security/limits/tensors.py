"""Files of tensors: what their headers claim against the file and the memory there is."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftune.errors import CheckpointError
from ftune.security.limits import documents
from ftune.security.limits.archives import members
from ftune.security.limits.memory import check, spoken

if TYPE_CHECKING:
    from torch import Tensor

MOST_HEADER = 100_000_000
"""Bytes of a header that the safetensors library reads."""
MOST_PICKLE = 64_000_000
"""Bytes of a pickle that names tensors; the tensors lie beside it."""
SMALL = 64_000_000
VIEWS = 4
"""How often the bytes of a file may be used: weights that are tied count each time."""
BY_NUMBER = b"\nbytearray\n"
"""How a pickle names what torch's weights-only loader makes as large as a number says."""


def safetensors_file(path: Path) -> None:
    """Raises CheckpointError where the header, or the file, is more than there is."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= min(size - 8, MOST_HEADER):
            raise CheckpointError(
                f"{path}: not a safetensors file, or damaged: its header claims {length:,} bytes,"
                f" the file has {size:,}"
            )
        header = documents.loads(file.read(length), f"{path}: header")
    claimed = max((_end(entry) for entry in _entries(path, header)), default=0)
    if claimed != size - 8 - length:
        raise CheckpointError(
            f"{path}: damaged: its tensors claim {claimed:,} bytes, {size - 8 - length:,} are there"
        )
    check(f"{path}: its tensors", size, kind=CheckpointError)


def _entries(path: Path, header: Any) -> Iterator[Any]:
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: not a safetensors file: its header is no mapping")
    yield from (entry for name, entry in header.items() if name != "__metadata__")


def _end(entry: Any) -> int:
    try:
        return int(entry["data_offsets"][1])
    except (TypeError, KeyError, IndexError, ValueError, OverflowError):
        return -1


def torch_file(path: Path) -> None:
    """A `.pt` file before it is loaded. Raises CheckpointError for claims that cannot be true."""
    size = path.stat().st_size
    check(f"{path}: its tensors", size, kind=CheckpointError)
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in members(str(path), archive, size, CheckpointError, packed=False):
                if entry.filename.endswith("data.pkl"):
                    _pickle(path, archive, entry)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a torch file: {error}") from None


def _pickle(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.file_size > MOST_PICKLE:
        raise CheckpointError(
            f"{path}: {member.file_size:,} bytes of pickle, at most {MOST_PICKLE:,} are read"
        )
    if BY_NUMBER in archive.read(member):
        raise CheckpointError(f"{path}: holds a bytearray, which no state dict has; leave it out")


def loaded(path: Path, content: Any) -> Any:
    """What a `.pt` file gave: its tensors together are not much more than the file.

    A tensor of one number that claims a billion rows would be written out where it is copied.
    Raises CheckpointError.
    """
    size, total = path.stat().st_size, 0
    for tensor in _tensors(path, content):
        if tensor.device.type != "cpu" or str(tensor.layout) != "torch.strided":
            raise CheckpointError(f"{path}: holds a tensor without plain values; save it dense")
        wanted = math.prod(tensor.shape) * tensor.element_size()
        total += max(wanted, tensor.untyped_storage().nbytes())
        if total > max(SMALL, VIEWS * size):
            raise CheckpointError(
                f"{path}: its tensors claim {spoken(total)} (the last is {list(tensor.shape)}), the"
                f" file has {spoken(size)}; save each with `.contiguous()`"
            )
    check(f"{path}: its tensors", total, kind=CheckpointError)
    return content


def _tensors(path: Path, content: Any) -> Iterator[Tensor]:
    """Those in mappings and lists, at any level; each level looked at once."""
    from torch import Tensor

    level, seen = [content], set[int]()
    for _ in range(documents.MOST_LEVELS):
        yield from (value for value in level if isinstance(value, Tensor))
        by_id = {id(value): value for value in level if isinstance(value, Mapping | list | tuple)}
        boxes = [value for key, value in by_id.items() if key not in seen]
        seen |= by_id.keys()
        level = [
            v for value in boxes for v in (value.values() if isinstance(value, Mapping) else value)
        ]
        if not level:
            return
    raise CheckpointError(f"{path}: nested deeper than {documents.MOST_LEVELS} levels")
