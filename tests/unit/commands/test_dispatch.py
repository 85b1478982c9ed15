"""The table of the commands that make a run names functions that exist."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
from support.trainings import configuration

from ftune.commands.dispatch import COMMANDS, Command


def missing(row: Command) -> list[str]:
    """Return the functions of a row that its modules do not have."""
    paths = [path.split(":") for path in (row.function, row.continuation, row.outlook)]
    return [
        name
        for module, name in paths
        if not callable(getattr(import_module(f"ftune.commands.{module}"), name, None))
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_function_of_a_command_exists(name: str) -> None:
    assert missing(COMMANDS[name]) == []


def test_a_function_that_does_not_exist_is_found() -> None:
    row = replace(COMMANDS["sweep"], outlook="outlook:absent")
    assert missing(row) == ["absent"]
    with pytest.raises(AttributeError):
        row.describe(configuration())
