"""What the coverage-guided run reads, and the whole inputs it starts from.

The first byte of a table or of weights chooses the kind of file, so that one corpus serves all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ftune.commands.check import check, check_sweep
from ftune.console import Console
from ftune.schema.root import LANGUAGE
from ftune.security.limits import documents
from ftune.security.limits.gguf import gguf_file
from ftune.security.untrusted_files import read_safetensors, read_torch
from support.bombs import read
from support.broken import CONFIGS, _gguf, _tables, _weights
from support.planted import GUIDED

Reader = Callable[[bytes], None]
TABLES = {"a.csv": read, "a.jsonl": read}
WEIGHTS = {
    "a.safetensors": read_safetensors,
    "a.pt": read_torch,
    "a.gguf": gguf_file,
    "a.json": documents.read,
}
JSON = b'{"model_type": "llama", "layers": [1, 2.5, null, "\\u00e4"], "deep": {"a": [[true]]}}'


def config(folder: Path) -> Reader:
    """Bytes as `ftune check` reads them."""
    file = folder / "ftune.yaml"

    def work(data: bytes) -> None:
        file.write_bytes(data)
        found = LANGUAGE.load(file, [])
        check_sweep(file, [], found)
        check(file, found, Console(json_output=True, quiet=True))

    return work


def by_kind(folder: Path, readers: Mapping[str, Callable[[Path], object]]) -> Reader:
    """Bytes as a file of the kind that the first of them names."""
    kinds = list(readers.items())

    def work(data: bytes) -> None:
        name, reader = kinds[data[0] % len(kinds) if data else 0]
        (folder / name).write_bytes(data[1:])
        reader(folder / name)

    return work


def _seeds(whole: Mapping[str, bytes], names: Sequence[str]) -> Iterator[bytes]:
    for number, name in enumerate(names):
        if name in whole:
            yield bytes([number]) + whole[name]


def made(target: str, folder: Path) -> tuple[Reader, list[bytes]]:
    """A reader and its seeds; a target that is planted reads tables."""
    folder.mkdir(parents=True, exist_ok=True)
    if target == "config":
        return config(folder), CONFIGS
    if target == "weights":
        whole = {**_weights(), "a.gguf": _gguf(), "a.json": JSON}
        return by_kind(folder, WEIGHTS), list(_seeds(whole, list(WEIGHTS)))
    tables = TABLES if target == "table" else dict.fromkeys(TABLES, GUIDED[target])
    return by_kind(folder, tables), list(_seeds(_tables(), list(TABLES)))
