"""Inputs guided by the lines they reach: a process of its own, because libFuzzer never returns.

`python -m support.coverage_fuzz TARGET FOLDER [flags of libFuzzer]`; see support.guided, which
starts it. Only the code that reads is instrumented: what others wrote has no lines of interest.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import struct
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import atheris

READERS = (
    "ftune.config", "ftune.data.sources", "ftune.security.limits", "ftune.security.pickle_scan",
    "ftune.security.untrusted_files", "support.planted",
)  # fmt: skip
ROOM_MB = 1000
"""Resident memory beyond the start at which libFuzzer ends the process."""
MOST_BYTES = 4096
LONGEST = 20
"""Seconds of the clock for one input: another process may hold the processor. The two seconds of
the promise are of the processor, and measured around each input."""


def others() -> list[str]:
    """Modules that are left as they are: atheris includes whole packages, and excludes by name."""
    found = []
    for package in ("ftune", "support"):
        spec = find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        root = Path(spec.submodule_search_locations[0]).parent
        names = [".".join(file.relative_to(root).with_suffix("").parts)
                 for file in (root / package).rglob("*.py")]  # fmt: skip
        found += [name.removesuffix(".__init__") for name in names]
    return [name for name in found if not f"{name}.".startswith(tuple(f"{r}." for r in READERS))]


with atheris.instrument_imports(include=["ftune", "support"], exclude=others()):
    from ftune.errors import FtuneError
    from support import coverage_targets
    from support.bounded import GROWTH, ROOM, SECONDS, warm
    from support.fuzz import WORDS, _peak, where

    warm()


@dataclass
class Notes:
    """What the parent reads, whatever becomes of this process: counts, and a line a finding."""

    counts: mmap.mmap
    lines: Path
    first: bool
    known: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, folder: Path, first: bool) -> Notes:
        file = folder / "counts"
        if not file.exists():
            file.write_bytes(bytes(16))
        with file.open("r+b") as raw:
            return cls(mmap.mmap(raw.fileno(), 16), folder / "findings", first)

    def add(self, place: int) -> int:
        """0: inputs tried, 1: inputs refused."""
        value: int = struct.unpack_from("<Q", self.counts, 8 * place)[0] + 1
        struct.pack_into("<Q", self.counts, 8 * place, value)
        return value

    def found(self, what: str, number: int, data: bytes) -> None:
        """Each kind once."""
        if what in self.known:
            return
        self.known.add(what)
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, number, data.hex()]) + "\n")
        if self.first:
            os._exit(0)


def tried(read: Callable[[bytes], None], notes: Notes) -> Callable[[bytes], None]:
    """One input: a refusal is fine; an exception, two seconds or 500 MB are a finding."""

    def one(data: bytes) -> None:
        number = notes.add(0)
        before, start = _peak(), time.process_time()
        try:
            read(data)
        except FtuneError:
            notes.add(1)
        except BaseException as error:
            notes.found(where(error), number, data)
        spent, grown = time.process_time() - start, _peak() - before
        if spent > SECONDS or grown > GROWTH:
            notes.found(f"{spent:.0f} s, {grown // 10**8}00 MB", number, data)

    return one


def flags(folder: Path) -> list[str]:
    """Those that are the same for each target."""
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(w)}"\n' for w in WORDS if w), encoding="ascii")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    limit = pages * resource.getpagesize() // 10**6 + ROOM_MB
    return [f"-rss_limit_mb={limit}", f"-timeout={LONGEST}", f"-max_len={MOST_BYTES}",
            f"-dict={words}", f"-artifact_prefix={folder}/died-", "-verbosity=0"]  # fmt: skip


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


def main(target: str, folder: Path, given: list[str]) -> None:
    """`--first` among what is given: ends at the first finding."""
    from support.apart import only_in_a_child

    only_in_a_child()
    read, seeds = coverage_targets.made(target, folder / "case")
    for number, seed in enumerate(seeds):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("ignore")
    words = [
        sys.argv[0],
        *flags(folder),
        *(one for one in given if one != "--first"),
        str(folder / "corpus"),
    ]
    notes = Notes.at(folder, "--first" in given)
    (folder / "began").touch()
    atheris.Setup(words, tried(read, notes))
    os.chdir(folder / "case")  # whatever is written beside an input stays there
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
