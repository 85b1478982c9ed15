"""One mutant against its tests: in functions that are loaded, or in a copy imported anew."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

from mutation.child import CrashedError, TimedOutError, allow, in_child
from mutation.mutants import Mutant, Source
from mutation.rooms import ROOT

Verdict = tuple[str, str]
# Forked children have plugins of pytest imported, which it warns about.
PYTEST = (
    "-p", "no:cacheprovider", "-p", "no:faulthandler", "-s", "--rootdir", str(ROOT),
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
IMPORT, NO_TESTS = "import", "no tests"


def allowance(normal: float) -> float:
    """Seconds of computing after which a test counts as caught in a loop."""
    return 5 + 5 * normal


def verdict(work: Callable[[], str], normal: float, explained: bool = False) -> Verdict:
    """Status and killer; `work` returns the first test that failed, or nothing.

    explained: of a crash, its traceback in the killer's place.
    """
    try:
        killer = in_child(work, allowance(normal))
        if killer == NO_TESTS:
            raise RuntimeError("pytest collected nothing")
    except TimedOutError:
        return "timeout", ""
    except CrashedError as error:
        return "crashed", str(error) if explained else ""
    return ("killed", killer) if killer else ("survived", "")


def first_failure(items: Sequence[pytest.Item], seconds: Mapping[str, float]) -> str:
    """Runs tests until one fails; its name, or nothing. seconds: what each takes otherwise."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        allow(allowance(seconds[item.nodeid]))
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return item.nodeid
    return ""


class Loaded:
    """The functions of a room as they lie in memory, by where they are written."""

    def __init__(self, files: Sequence[str]) -> None:
        names = {str(ROOT / file) for file in files}
        self._functions: dict[tuple[str, str, int], list[FunctionType]] = {}
        for function in gc.get_objects():
            if type(function) is FunctionType and function.__code__.co_filename in names:
                self._functions.setdefault(_place(function.__code__), []).append(function)

    def plant(self, source: Source, mutant: Mutant) -> bool:
        """Gives the functions the mutant's code; False where none of them differs or fits."""
        changed = False
        for code in _codes(source.code(mutant, str(ROOT / source.file))):
            for function in self._functions.get(_place(code), ()):
                if function.__code__ == code:
                    continue
                if function.__code__.co_freevars != code.co_freevars:
                    return False
                function.__code__ = code
                changed = True
        return changed


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _codes(code: CodeType) -> list[CodeType]:
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [*inner, *(deeper for part in inner for deeper in _codes(part))]


class Shadow:
    """A copy of the package in which one file has the fault; processes that tests start use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "ftune", folder / "ftune", ignore=ignored)

    @contextmanager
    def planted(self, source: Source, mutant: Mutant) -> Any:
        file = self.folder / source.file
        file.write_text(source.text(mutant), "utf-8")
        try:
            yield
        finally:
            shutil.copyfile(ROOT / source.file, file)

    def first_failure(self, seconds: Mapping[str, float], plugins: Sequence[object]) -> str:
        """Imports the copy and runs tests; for a child that has not imported ftune."""
        sys.path.insert(0, str(self.folder))
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        ordered = Ordered(seconds)
        files = list(dict.fromkeys(test.partition("::")[0] for test in seconds))
        code = pytest.main([*PYTEST, *files], plugins=[ordered, *plugins])
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            return NO_TESTS
        return ordered.killer if ordered.began else IMPORT


class Ordered:
    """A plugin that runs the named tests in their order, up to the first failure."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        """seconds: of each test, in the order in which they are to run."""
        self._seconds, self.killer, self.began = seconds, "", False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:  # a file that could not be imported
            return True
        self.began = True
        items = {item.nodeid: item for item in session.items}
        asked = [items[test] for test in self._seconds if test in items]
        self.killer = first_failure(asked, self._seconds)
        return True


class Toothless:
    """A plugin for the negative control: tests whose assertions are not looked at."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:  # noqa: ARG002
        report = yield
        if report.failed and call.excinfo.errisinstance((AssertionError, pytest.fail.Exception)):
            report.outcome = "passed"
        return report
