"""Many broken inputs in forked processes: what none may do is raise, last, grow or die.

Case number n of a target is made from (target, n) alone, so that a finding can be made again.
"""

from __future__ import annotations

import copy
import faulthandler
import itertools
import os
import pickle
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftune.errors import FtuneError
from support.apart import only_in_a_child
from support.bounded import GROWTH, ROOM, SECONDS

Maker = Callable[[random.Random, Path], Callable[[], Any]]
LONGEST = 20
"""Seconds of the clock that one case may take before its process is ended."""


@dataclass
class Hunt:
    """count: cases tried. findings: the number of a case, and what it did, one of each kind."""

    count: int = 0
    refused: int = 0
    findings: dict[str, int] = field(default_factory=dict)


def hunt(name: str, make: Maker, place: Path, seconds: float, first: int = 0) -> Hunt:
    """Tries cases from `first` on for some time; a process that dies is followed by another."""
    found, until, number = Hunt(), time.monotonic() + seconds, first
    while time.monotonic() < until:
        for event in _forked(name, make, place, number, until):
            if event[0] == "begun":
                number = event[1]
                continue
            found.count += 1
            found.refused += event[0] == "refused"
            if event[0] == "finding":
                found.findings.setdefault(event[2], event[1])
        number += 1
    return found


def _forked(
    name: str, make: Maker, place: Path, first: int, until: float
) -> Iterator[tuple[Any, ...]]:
    """What a child tells: that a case has begun, and how it ended; then how the child did."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _child(name, make, place, first, until, theirs)
    os.close(theirs)
    last = first
    with os.fdopen(ours, "rb") as told:
        while True:
            try:
                event = pickle.load(told)
            except EOFError:
                break
            last = event[1]
            yield event
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        yield "finding", last, f"died of {signal.Signals(os.WTERMSIG(status)).name}"


def _child(name: str, make: Maker, place: Path, first: int, until: float, theirs: int) -> None:
    only_in_a_child()
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.simplefilter("ignore")  # pytest would raise them
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    try:
        with os.fdopen(theirs, "wb", buffering=0) as told:
            for number in itertools.count(first):
                signal.alarm(LONGEST)
                told.write(pickle.dumps(("begun", number)))
                told.write(pickle.dumps(_tried(name, make, place, number)))
                if time.monotonic() > until:
                    break
    finally:
        os._exit(0)


def _tried(name: str, make: Maker, place: Path, number: int) -> tuple[Any, ...]:
    folder = place / f"{name}-{number}"
    folder.mkdir(parents=True)
    before, start = _peak(), time.process_time()
    try:
        work = make(random.Random(f"{name}/{number}"), folder)
        before, start = _peak(), time.process_time()
        work()
        end = "done"
    except FtuneError:
        end = "refused"
    except BaseException as error:
        end = where(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    spent, grown = time.process_time() - start, _peak() - before
    if end not in ("refused", "done"):
        return "finding", number, end
    if spent > SECONDS or grown > GROWTH:
        return "finding", number, f"{spent:.0f} s, {grown // 10**8}00 MB"
    return end, number


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def where(error: BaseException) -> str:
    """The kind of an exception and the line of ftune that let it through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/ftune/" in f.filename]
    line = f"{own[-1].filename.rpartition('/ftune/')[2]}:{own[-1].lineno}" if own else "outside"
    return f"{type(error).__name__} at {line}: {str(error)[:100]!r}"


EXTREMES = (0, 1, -1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, -(2**63))
WORDS = (b"", b" ", b"\n", b",", b'"', b"'", b"\0", b"\xff", b"\xc3\xa4", b"{", b"}", b"[", b"]",
         b":", b"-", b"null", b"NaN", b"inf", b"1e999", b"9" * 30, b"true", b"\t", b"\r", b";",
         b"&a ", b"*a", b"!!x", b"${", b"~", b"<<", b"\\", b"\\u", b"A" * 300)  # fmt: skip


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """Bytes with one to four changes: bits, words, extreme numbers, cuts, pieces elsewhere."""
    data = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at : at + dice.randrange(4)] = dice.choice(WORDS)
        elif kind == 2:
            width = dice.choice((2, 4, 8))
            value = dice.choice(EXTREMES) % 2 ** (8 * width)
            data[at : at + width] = value.to_bytes(width, "little")
        elif kind == 3 and dice.random() < 0.3:
            del data[at:]
        elif kind == 4:
            del data[at : at + dice.randrange(1, 30)]
        elif kind == 5:
            start = dice.randrange(len(data) + 1)
            data[at:at] = data[start : start + dice.randrange(1, 60)]
        else:
            data[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 5)))
    return bytes(data)


ODD: tuple[Any, ...] = (None, True, -1, 0, 1, 2**31, 2**63, 1e300, 0.5, "", "x", "é" * 50, [],
                        {}, [None], [[]], {"a": 1}, float("nan"), "9" * 40, [1] * 30)  # fmt: skip


def distorted(value: Any, dice: random.Random) -> Any:
    """JSON with one value at a random place replaced, deleted, or put elsewhere."""
    places = list(_places(value))
    if not places or dice.random() < 0.03:
        return dice.choice(ODD)
    box, key = dice.choice(places)
    kind = dice.random()
    if kind < 0.6:
        box[key] = dice.choice(ODD)
    elif kind < 0.8:
        del box[key]
    else:
        other, name = dice.choice(places)
        box[key] = copy.deepcopy(other[name])
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value; of long lists the first few."""
    level = [value]
    while level:
        box = level.pop()
        keys = list(box) if isinstance(box, dict) else list(range(min(len(box), 6)))
        for key in keys[:60]:
            yield box, key
            if isinstance(box[key], dict | list):
                level.append(box[key])
