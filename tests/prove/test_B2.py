"""Promise B2: 10,000 generated configurations, no uncaught exception."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from support.generated import answered, mutated, overrides
from support.ledger import Ledger, full

from ftune.config import read, tree
from ftune.errors import FtuneError

COUNT = 10_000


def faults(file: Path, count: int, start: int = 7) -> tuple[int, list[str]]:
    """(configurations tried, what was raised that is no refusal, of each kind once)."""
    tried, found = 0, dict[str, None]()

    @seed(start)
    @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(mutated(), st.one_of(st.just([]), overrides()), st.one_of(st.none(), mutated()))
    def look(text: str, changes: list[str], base: str | None) -> None:
        nonlocal tried
        tried += 1
        try:
            answered(file, text, changes, base)
        except Exception as error:
            found.setdefault(f"{type(error).__name__}: {error}"[:200])

    look()
    return tried, list(found)


def test_no_generated_configuration_raises_anything_else(
    part: int, tmp_path: Path, ledger: Ledger
) -> None:
    wanted, tried, found = full(COUNT), 0, list[str]()
    tried, found = faults(tmp_path / "ftune.yaml", wanted, 7 + 1000 * part)
    ledger.counted(
        "B2", tried, len(found), "; ".join(found) or "mutations, overrides, extended files"
    )
    assert tried >= wanted


def _stripped(value: object, *_: object) -> object:
    return value.strip()  # type: ignore[attr-defined]


def _number(text: str) -> object:
    return float(text) if text[:1].isdigit() else text


BROKEN = {
    "types that are not converted": (read, "convert", _stripped),
    "whatever begins with a digit is a number": (tree, "scalar", _number),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_careless_reader_is_found(
    name: str, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*BROKEN[name])
    _, found = faults(tmp_path / "ftune.yaml", 300)
    ledger.control("B2", bool(found), name)
    assert not any(FtuneError.__name__ in one for one in found)
