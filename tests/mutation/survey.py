"""A room's mutants, tried one after the other; what is known is not tried again."""

from __future__ import annotations

import gc
import importlib
import os
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from mutation.mutants import Mutant, Source
from mutation.results import FOLDER, Result, Results
from mutation.rooms import ROOT, Room
from mutation.trial import PYTEST, Loaded, Shadow, Toothless, Verdict, first_failure, verdict
from mutation.watch import MOST_SECONDS, Coverage, coverage

NOT_LOADED = "not loaded"
IMPORTING = 10.0
HEAVY = ("torch", "numpy", "pyarrow", "pyarrow.parquet", "safetensors.torch", "sklearn.metrics")


def mutants_of(room: Room) -> list[tuple[Source, Mutant]]:
    """All of a room, in the order of its files."""
    sources = [Source(file, (ROOT / file).read_text("utf-8")) for file in room.source_files()]
    return [(source, mutant) for source in sources for mutant in source.mutants]


@dataclass
class Survey:
    """One room and the mutants of it that are asked for."""

    room: Room
    chosen: Sequence[tuple[Source, Mutant]]
    toothless: bool = False

    def __post_init__(self) -> None:
        self.results = Results(self.room, "-toothless" if self.toothless else "")
        self._plugins: list[object] = [Toothless()] if self.toothless else []
        self._kills: dict[str, Counter[str]] = {}
        self._map = FOLDER / f"{self.room.name}-lines.json"

    def run(self) -> list[tuple[Mutant, Result]]:
        """Tries what is not known yet: loaded functions first, then what needs an import."""
        if self._missing():
            in_child_loudly(self._live)
            self.results = Results(self.room, "-toothless" if self.toothless else "")
            self._cold()
        pairs = [(mutant, self.results.of(mutant)) for _, mutant in self.chosen]
        return [(mutant, result) for mutant, result in pairs if result is not None]

    def _missing(self) -> list[tuple[Source, Mutant]]:
        return [pair for pair in self.chosen if self.results.of(pair[1]) is None]

    def _live(self) -> None:
        """Collects the room's tests once, and forks from there."""
        plugins = [Session(self), *self._plugins]
        code = pytest.main([*PYTEST, *self.room.test_arguments()], plugins=plugins)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise RuntimeError(f"pytest ended with {code!r}")

    def try_loaded(self, items: Sequence[pytest.Item]) -> None:
        """In a process that has collected the tests."""
        for file in self.room.source_files():
            importlib.import_module(_module(file))
        known = coverage(self.room, items, self._map)
        import_quietly(known.modules)
        by_name = {item.nodeid: item for item in items}
        loaded = Loaded(self.room.source_files())
        gc.collect()
        gc.freeze()
        _require_sound(partial(first_failure, *_all_of(known, by_name)))
        for source, mutant in self._missing():
            tests = self._ordered(known, mutant)
            if not tests:
                self._note(mutant, ("uncovered", ""))
            elif mutant.live:
                work = partial(_planted, loaded, source, mutant, by_name, tests)
                outcome = verdict(work, sum(tests.values()))
                if outcome != ("killed", NOT_LOADED):
                    self._note(mutant, outcome)

    def _cold(self) -> None:
        """What is computed at import: from a process that has not imported ftune."""
        missing = self._missing()
        if not missing:
            return
        known = Coverage.read(self._map)
        import_quietly(known.modules)
        shadow = Shadow(FOLDER / f"{self.room.name}-copy")
        tests = {t: s for _, mutant in missing for t, s in self._ordered(known, mutant).items()}
        _require_sound(partial(shadow.first_failure, tests, self._plugins))
        for source, mutant in missing:
            tests = self._ordered(known, mutant)
            with shadow.planted(source, mutant):
                work = partial(shadow.first_failure, tests, self._plugins)
                outcome = verdict(work, IMPORTING + sum(tests.values()))
            self._note(mutant, outcome)

    def _ordered(self, known: Coverage, mutant: Mutant) -> dict[str, float]:
        """The covering tests: what killed it before, what kills its like, then the fastest."""
        tests = known.covering(mutant)
        kills = self._kills.get(mutant.scope, Counter())
        last = self.results.last_killer(mutant)
        order = sorted(tests, key=lambda test: (test != last, -kills[test]))
        return {test: tests[test] for test in order}

    def _note(self, mutant: Mutant, outcome: Verdict) -> None:
        status, killer = outcome
        self.results.add(mutant, status, killer)
        if killer:
            self._kills.setdefault(mutant.scope, Counter())[killer] += 1
        print(f"  {status:<9} {mutant}", flush=True)  # noqa: T201


def _all_of(
    known: Coverage, items: Mapping[str, pytest.Item]
) -> tuple[list[pytest.Item], dict[str, float]]:
    """Every quick test and its seconds."""
    seconds = {name: float(test["seconds"]) for name, test in known.tests.items()}
    return [items[name] for name in seconds], seconds


def _require_sound(work: Callable[[], str]) -> None:
    """Raises where a test fails without a fault: it would seem to notice every mutant."""
    outcome = verdict(work, MOST_SECONDS, explained=True)
    if outcome != ("survived", ""):
        raise RuntimeError(f"without any fault the tests end in {outcome}")


def _planted(
    loaded: Loaded,
    source: Source,
    mutant: Mutant,
    items: Mapping[str, pytest.Item],
    seconds: Mapping[str, float],
) -> str:
    """The first test that fails with the fault; NOT_LOADED where it cannot be put in."""
    if not loaded.plant(source, mutant):
        return NOT_LOADED
    return first_failure([items[test] for test in seconds], seconds)


class Session:
    """A plugin that tries a room's mutants in the place of running its tests once."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise RuntimeError("the tests cannot be collected")
        self._survey.try_loaded(session.items)
        return True


def in_child_loudly(work: Callable[[], None]) -> None:
    """Runs `work` in a forked child that may print; raises where it does not end well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a room's process ended with {status}")


def import_quietly(names: Iterable[str]) -> None:
    """Before forking, so that no child need do it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(Exception):
                importlib.import_module(name)


def _module(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
