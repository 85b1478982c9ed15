"""Several processes on one training are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.trainings import QUIET, configuration

from ftune.commands.request import Request
from ftune.commands.train import optimize
from ftune.errors import RequestError
from ftune.runtime.processes import COUNTS, refuse_several


@pytest.mark.parametrize("name", COUNTS)
def test_a_launcher_of_several_is_named(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} is 4: ftune trains in one process"):
        refuse_several({name: "4"})


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": ""}])
def test_one_is_none_too_many(environment: dict[str, str]) -> None:
    refuse_several(environment)


def test_a_training_asks_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RequestError, match="WORLD_SIZE is 2"):
        optimize(Request(configuration(), "t", tmp_path / "run", QUIET))
    assert not (tmp_path / "run").exists()
