"""run.json as a continuation reads it: of 0.1 too, and refused by name where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftune.errors import CheckpointError
from ftune.runs.folder import RunFolder
from ftune.runs.run_record import RunRecord

OLD = Path(__file__).parents[2] / "fixtures/0.1/interrupted"


def stored() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((OLD / "run.json").read_text())
    return facts


def test_a_run_of_0_1_is_taken_over() -> None:
    record = RunFolder(OLD).record
    assert (record.command, record.status) == ("optimize", "interrupted")
    assert record.data == stored()["data"]
    assert (record.has_raw_targets, record.notes, record.parent) == (False, (), None)


def test_raw_targets_that_are_none_were_noted() -> None:
    record = RunRecord.parse(stored() | {"raw_targets": None}, "run.json")
    assert record.has_raw_targets
    assert record.raw_targets is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("status", 3, "its `status` is 3, not a text"),
        ("command", None, "its `command` is None, not a text"),
        ("notes", "a", "its `notes` is 'a', not a list of texts"),
        ("data", [], r"its `data` is \[\], not a text"),
    ],
)
def test_a_damaged_run_is_refused_by_name(name: str, value: object, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as raised:
        RunRecord.parse(stored() | {name: value}, "run.json")
    assert str(raised.value).startswith("run.json: damaged: ")
    assert raised.value.exit_code == 2
