"""`ftune model`: names and shapes, and what is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.trainings import EVERYTHING, QUIET, configuration, undisturbed
from typer.testing import CliRunner

from ftune.cli import app
from ftune.commands.model import model_of_base, model_of_config
from ftune.runs.base import load_base

FROZEN = "adapt=[{match: '*', train: false}, {match: 'last.*', train: true, lr_scale: 2}]"
LORA = "adapt=[{match: 'layer*', lora: 2}]"


def states(summary: dict[str, Any]) -> dict[str, tuple[list[int], str]]:
    return {row["name"]: (row["shape"], row["state"]) for row in summary["tensors"]}


def test_of_a_configuration() -> None:
    summary = model_of_config(configuration(FROZEN), None, QUIET)
    found = states(summary)
    assert found["layer1.weight"] == ([8, 4], "frozen")
    assert found["last.bias"] == ([3], "trained, lr ×2")
    assert summary["parameters"] == {"total": 131, "trainable": 21}


@pytest.mark.parametrize("change", [FROZEN, LORA, "adapt=[]"])
def test_of_a_run_it_is_what_its_training_had(change: str, tmp_path: Path) -> None:
    config = configuration(change, "train.epochs=1")
    summary = undisturbed(config, tmp_path / "run")
    found = model_of_base(load_base(tmp_path / "run"), QUIET)
    assert found["parameters"] == summary["parameters"]
    assert states(found) == states(model_of_config(config, None, QUIET))


def test_a_rule_that_matches_nothing_does_not_hide_the_names(tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(EVERYTHING), encoding="utf-8")
    words = ["model", str(file), "adapt=[{match: 'lyer1.*', train: false}]", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "did you mean `layer1.*`" in result.stderr
    assert "layer1.weight" in result.stderr and "8×4" in result.stderr
    assert json.loads(result.stdout)["parameters"]["trainable"] == 131
    result = CliRunner().invoke(app, ["model", str(tmp_path), "seed=1"])
    assert result.exit_code == 2 and "no settings, no --base" in result.stderr
