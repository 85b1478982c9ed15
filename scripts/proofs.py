"""Runs the proofs, two files at a time, and ends with their table. See scripts/prove."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import PROMISES, read, table

FOLDER = Path("tests/prove")
# The longest begin, so that the second of two cores is not idle at the end.
LONGEST = ("T4", "fuzz", "R1", "W1", "C4", "C1", "B2", "S1", "B3")
# These measure seconds, or fill memory: nothing else runs beside them.
ALONE = ("N2", "S3", "B1")
AT_ONCE = 2
MOST_SECONDS = 40 * 60
# A long count takes its time: what ends is kept, and the same call goes on where it was.
LONG_SECONDS = 24 * 60 * 60


def found() -> list[str]:
    return sorted(file.stem.removeprefix("test_") for file in FOLDER.glob("test_*.py"))


def ordered(names: Sequence[str]) -> list[str]:
    """The longest first; those of unknown length keep their order."""
    return sorted(names, key=lambda n: LONGEST.index(n) if n in LONGEST else len(LONGEST))


def prove(name: str, folder: Path) -> bool:
    """One file in its own process; says how it went, and everything where it went wrong."""
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider",
        "-o", "junit_family=xunit1",  # the other family has no properties of single tests
        f"--junitxml={folder / name}.xml", f"--basetemp={folder / name}",
        str(FOLDER / f"test_{name}.py"),
    ]  # fmt: skip
    most = LONG_SECONDS if os.environ.get("FTUNE_PROVE_COUNT") == "full" else MOST_SECONDS
    began = time.monotonic()
    done = subprocess.run(
        ["timeout", str(most), *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.monotonic() - began
    said = "" if done.returncode == 0 else f"\n{done.stdout}"
    kind = {0: "held", 124: f"no end after {most} s"}.get(done.returncode, "FAILED")
    print(f"{name:<6} {seconds:7.0f} s  {kind}{said}", flush=True)  # noqa: T201
    return done.returncode == 0


def run_all(names: Sequence[str], folder: Path) -> bool:
    beside = ordered([name for name in names if name not in ALONE])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        held = list(pool.map(lambda name: prove(name, folder), beside))
    held += [prove(name, folder) for name in names if name in ALONE]
    return all(held)


def main(names: Sequence[str]) -> int:
    """0 where every promise asked for was proved."""
    known = found()
    if "--list" in names:
        for name in dict.fromkeys([*PROMISES, *known]):
            print(f"{name:<6} {PROMISES.get(name, '')}{'' if name in known else ' (no proof yet)'}")  # noqa: T201
        return 0
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"prove: no tests/prove/test_{unknown[0]}.py; there are {', '.join(known)}")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="ftune-prove-", ignore_cleanup_errors=True) as place:
        held = run_all(names or known, Path(place))
        text, proved = table(read(sorted(Path(place).glob("*.xml"))), names)
    print(f"\n{text}")  # noqa: T201
    return 0 if held and proved else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
