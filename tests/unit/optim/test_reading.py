"""The optimizer and schedule blocks as files write them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from ftune.config.fields import block, settings_of
from ftune.config.load import Language
from ftune.errors import ConfigError
from ftune.optim import OPTIMIZERS, SCHEDULES


@dataclass(frozen=True)
class Root:
    """Two blocks."""

    optimizer: Any = block(OPTIMIZERS, default="adamw")
    schedule: Any = block(SCHEDULES, default="cosine")


def read(**blocks: Any) -> Root:
    return Language(Root).of(blocks)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_by_bare_name_have_a_rate(name: str) -> None:
    assert read(optimizer=name).optimizer == OPTIMIZERS[name]()
    assert read(optimizer={"name": name, "lr": "auto"}).optimizer.lr == "auto"
    assert read(optimizer=name).optimizer.lr > 0


def test_pairs_and_bounds() -> None:
    assert read(optimizer={"name": "adam", "betas": [0.5, 0.9]}).optimizer.betas == (0.5, 0.9)
    for wrong in ({"betas": [0.5]}, {"betas": [0.5, 1.0]}, {"lr": 0}, {"lr": "fast"}, {"eps": -1}):
        with pytest.raises(ConfigError):
            read(optimizer={"name": "adam", **wrong})


def test_warmup_is_a_fraction_or_steps() -> None:
    assert read(schedule={"name": "cosine", "warmup": 0.2}).schedule.warmup.length(100) == 20
    assert (
        read(schedule={"name": "cosine", "warmup": {"steps": 7}}).schedule.warmup.length(100) == 7
    )
    assert read(schedule="cosine").schedule.warmup.length(100) == 5
    with pytest.raises(ConfigError):
        read(schedule={"name": "cosine", "warmup": 1.0})


def test_a_conflict_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.every"):
        read(schedule={"name": "step", "at": [0.5], "every": 2})


@pytest.mark.parametrize("table", [OPTIMIZERS, SCHEDULES], ids=["optimizers", "schedules"])
def test_every_variant_and_setting_is_documented(table: Any) -> None:
    for name in table:
        assert table[name].__doc__
        assert all(item.doc for item in settings_of(table[name]).values()), name


def test_reading_never_imports_torch() -> None:
    code = (
        "import sys; from ftune.optim import OPTIMIZERS, SCHEDULES; import ftune.runtime.schema;"
        "[t[n]() for t in (OPTIMIZERS, SCHEDULES) for n in t]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
