"""Which lines of a room each test runs, and how long it takes."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from mutation.child import in_child
from mutation.mutants import Mutant
from mutation.rooms import ROOT, Room, content_hash

OWN = frozenset(("ftune", "tests", "support", "conftest", "__main__"))
MOST_SECONDS = 3600
# Slower tests are not asked: a survivor would have to wait for every one of them.
SLOWEST = 4.0


@dataclass
class Coverage:
    """tests: node id -> {"seconds": of computing, "lines": {file: lines}}, of those that passed.

    modules: what the tests import, so that each child need not.
    """

    tests: dict[str, dict[str, Any]]
    modules: list[str]

    @classmethod
    def read(cls, kept: Path) -> Coverage:
        """What `coverage` has kept."""
        told = json.loads(kept.read_text("utf-8"))
        return cls.of(told["files"], told["modules"])

    @classmethod
    def of(cls, files: dict[str, Any], modules: list[str]) -> Coverage:
        tests = {name: test for entry in files.values() for name, test in entry["tests"].items()}
        return cls({n: t for n, t in tests.items() if t["seconds"] <= SLOWEST}, modules)

    def covering(self, mutant: Mutant) -> dict[str, float]:
        """The tests that run a mutant's statement and their seconds, the fastest first.

        What is computed at import is covered by all that use its file, and by those that start a
        process of their own, whose lines are not seen.
        """
        first, last = mutant.lines
        chosen = []
        for test, told in self.tests.items():
            lines = told["lines"].get(mutant.file, ())
            covers = any(first <= line <= last for line in lines)
            if covers or (not mutant.live and (lines or "::test_the_reference" in test)):
                chosen.append(test)
        seconds = {test: float(self.tests[test]["seconds"]) for test in chosen}
        return dict(sorted(seconds.items(), key=lambda pair: pair[1]))


def coverage(room: Room, items: Sequence[pytest.Item], kept: Path) -> Coverage:
    """Of all tests of a room; those of files that did not change are taken from `kept`."""
    told = json.loads(kept.read_text("utf-8")) if kept.exists() else {"files": {}, "modules": []}
    sources = content_hash(room.source_files())
    files: dict[str, dict[str, Any]] = {}
    for file in dict.fromkeys(_file(item) for item in items):
        state = f"{sources} {content_hash([file])}"
        old = told["files"].get(file, {})
        if old.get("state") == state:
            files[file] = old
            continue
        own = [item for item in items if _file(item) == file]
        print(f"  {file}: which lines its {len(own)} tests run", flush=True)  # noqa: T201
        answer = json.loads(in_child(lambda own=own: _watch(room, own), MOST_SECONDS))  # type: ignore[misc]
        files[file] = {"state": state, "tests": answer["tests"]}
        told["modules"] = sorted({*told["modules"], *answer["modules"]})
        kept.write_text(
            json.dumps({"files": {**told["files"], **files}, "modules": told["modules"]})
        )
    kept.write_text(json.dumps({"files": files, "modules": told["modules"]}))
    return Coverage.of(files, told["modules"])


def _file(item: pytest.Item) -> str:
    return str(item.path.relative_to(ROOT))


def _watch(room: Room, items: Sequence[pytest.Item]) -> str:
    before, tests = set(sys.modules), {}
    sources = {str(ROOT / file): file for file in room.source_files()}
    for item, following in zip(items, [*items[1:], None], strict=True):
        tracer = _Tracer(sources)
        began, failed = sum(os.times()[:4]), item.session.testsfailed
        tracer.start()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        tracer.stop()
        if item.session.testsfailed == failed:
            lines = {file: sorted(numbers) for file, numbers in tracer.lines.items()}
            tests[item.nodeid] = {"seconds": sum(os.times()[:4]) - began, "lines": lines}
    foreign = {
        name for name in set(sys.modules) - before
        if name.partition(".")[0] not in OWN
        and getattr(sys.modules[name], "__spec__", None) is not None
    }  # fmt: skip
    return json.dumps({"tests": tests, "modules": sorted(foreign)})


class _Tracer:
    """Notes the lines that run in some files."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources
        self._files: dict[CodeType, set[int] | None] = {}
        self.lines: dict[str, set[int]] = {}

    def start(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def stop(self) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002
        code = frame.f_code
        if code not in self._files:
            file = self._sources.get(code.co_filename)
            self._files[code] = None if file is None else self.lines.setdefault(file, set())
        lines = self._files[code]
        if lines is None:
            return None

        def line(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG001
            lines.add(frame.f_lineno)
            return line

        lines.add(frame.f_lineno)
        return line
