"""Zip archives: the sizes that their members claim against the bytes that there are."""

from __future__ import annotations

import zipfile

from ftune.errors import DataError, RequestError
from ftune.security.limits.memory import check, spoken

MOST_PACKED = 1032
"""Bytes that deflate can make of one."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def members(
    path: str, archive: zipfile.ZipFile, size: int, kind: type[RequestError] = DataError,
    packed: bool = True,
) -> list[zipfile.ZipInfo]:  # fmt: skip
    """All members; `size`: bytes of the file.

    packed: whether they may be compressed. Raises `kind` where they overlap, claim more than their
    bytes can hold, or more than there is memory.
    """
    entries = archive.infolist()
    taken = sum(entry.compress_size for entry in entries)
    if taken > size:
        raise kind(f"{path}: its members claim {spoken(taken)}, the file has {spoken(size)}")
    for entry in entries:
        if entry.compress_type not in _METHODS[: 1 + packed]:
            raise kind(
                f"{path}: `{entry.filename[:80]}` is compressed in a way that is not read; save the"
                " file again"
            )
        stored = entry.compress_type == zipfile.ZIP_STORED
        if entry.file_size > entry.compress_size * (1 if stored else MOST_PACKED):
            raise kind(
                f"{path}: `{entry.filename[:80]}` claims {spoken(entry.file_size)}, its"
                f" {entry.compress_size:,} bytes cannot hold that"
            )
    check(f"{path}: unpacked it", sum(entry.file_size for entry in entries), kind=kind)
    return entries
