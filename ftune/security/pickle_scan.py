"""Which Python objects a pickle names, read from its opcodes: nothing is imported or run."""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from typing import IO

LONGEST = 2**19
"""Bytes of opcodes that are looked at, half a second's work; tensors lie elsewhere in a file."""
SHOWN = 6
MOST = 4
"""Pickles of an archive that are looked at; torch writes one."""
_TENSORS = re.compile(
    r"torch\._utils\._rebuild_\w+|torch\.\w*Storage|torch\.storage\.\w*Storage|torch\.\w+\d+|torch\.Size"
    r"|torch\.device|torch\.nn\.parameter\.\w+|collections\.OrderedDict|torch\.serialization\._get_layout"
)
_STRINGS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING",
            "SHORT_BINSTRING")  # fmt: skip


def named_in(file: IO[bytes]) -> list[str]:
    """Up to six of the names in a torch file that are more than tensors, as `posix.system`.

    A pickle can hide what it calls behind what it names; the list shows, it does not judge.
    """
    names: dict[str, None] = {}
    for stream in _streams(file):
        names |= dict.fromkeys(name for name in _names(stream) if not _TENSORS.fullmatch(name))
    more = [f"… {len(names)} in all"] if len(names) > SHOWN else []
    return [*list(names)[:SHOWN], *more]


def _streams(file: IO[bytes]) -> Iterator[bytes]:
    """The pickles of a zip, or the file itself in the older format."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        yield file.read(LONGEST)
        return
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            for name in names[:MOST]:
                with archive.open(name) as inner:
                    yield inner.read(LONGEST // MOST)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError):
        return


def _names(stream: bytes) -> Iterator[str]:
    """Several pickles may follow one another, as in the older format."""
    file = io.BytesIO(stream)
    try:
        while file.tell() < len(stream):
            yield from _of_one(file)
    except Exception:  # damaged, or the bytes of tensors: what was named before is told
        return


def _of_one(file: io.BytesIO) -> Iterator[str]:
    """Strings that a name may be put together from come straight from the text or the memo."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    top = ""
    for code, value, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            yield _today(*str(value).split(" ", 1))
        elif code.name == "STACK_GLOBAL" and len(strings) > 1:
            yield f"{strings[-2]}.{strings[-1]}"
        if code.name == "MEMOIZE":
            memo[len(memo)] = top
        elif code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(value or 0)] = top
        else:
            top = _text(code.name, value, memo)
            strings += [top] if top else []


def _today(module: str, name: str = "") -> str:
    """Older protocols write Python 2's names, which are turned into today's on loading."""
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[module, name]
    return f"{IMPORT_MAPPING.get(module, module)}.{name}"


def _text(code: str, value: object, memo: dict[int, str]) -> str:
    """The string that an opcode leaves on the stack, if it is one."""
    if code in _STRINGS:
        return str(value)
    if code in ("GET", "BINGET", "LONG_BINGET"):
        return memo.get(int(str(value)), "")
    return ""
