"""The ledger that each proof writes its counts into, and the parts of a long count."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest
from support.kept import Kept, content_hash
from support.ledger import LONG, PARTS, Ledger

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ledger(record_property: pytest.FixtureRequest) -> Ledger:
    """Where a proof notes what it counted and whether its control was caught."""
    return Ledger(record_property)  # type: ignore[arg-type]


@pytest.fixture
def part(request: pytest.FixtureRequest) -> int:
    """Which part of a long count this is, for its seeds; 0 in a usual one."""
    return int(getattr(request, "param", 0))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A proof that takes `part` is made in several; the others are the same each time."""
    if LONG and "part" in metafunc.fixturenames:
        metafunc.parametrize("part", range(PARTS), indirect=True)


@cache
def _kept() -> Kept:
    return Kept(ROOT / "build" / "prove", content_hash(ROOT, "ftune", "tests/support"))


def _name(item: pytest.Item) -> str:
    return f"{item.nodeid} {hashlib.sha256(item.path.read_bytes()).hexdigest()}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """In a long count, what has held before is noted again instead of being made again."""
    noted = _kept().noted(_name(pyfuncitem)) if LONG else None
    if noted is None:
        return None
    pyfuncitem.user_properties.extend(noted)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if LONG and report.when == "call" and report.passed:
        _kept().keep(_name(item), list(item.user_properties))
    return report
