"""Objectives of the user's own: several forward passes, resumed exactly, diagnosed, refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from support.faulty import stops
from support.trainings import assert_same, begin, configuration, interrupted, trace, undisturbed

from ftune.data.store import Dense
from ftune.errors import ConfigError, RequestError
from ftune.extend import load_code
from ftune.runs.folder import RunFolder, read_metrics
from ftune.training.train import train

pytestmark = pytest.mark.usefixtures("apart")

# As direct preference optimisation (Rafailov et al. 2023) without a reference model: what a row
# says of its class shall be more likely than what the same row turned round says of it.
PREFERENCE = """
import ftune
import torch.nn.functional as F

def likely(forward, batch):
    outputs, batch = forward(batch)
    return outputs.log_softmax(1).gather(1, batch["y"][:, None])[:, 0]

@ftune.objective("preference")
def preference(forward, batch, beta: float = 0.5, push: float = 0.1):
    chosen = likely(forward, batch)
    rejected = likely(forward, {**batch, "x": batch["x"].flip(1)})
    ranked = -F.logsigmoid(beta * (chosen - rejected)).sum()
    fit = -push * chosen.sum()
    return ranked + fit, len(chosen), {"ranked": ranked.detach(), "fit": fit.detach()}
"""
PLAIN = ("train.ema=null", "schedule=constant", "adapt=[]", "train.log_every=5")


@pytest.fixture
def preference(tmp_path: Path) -> str:
    load(tmp_path, PREFERENCE)
    return "train.objective={name: preference, beta: 2.0}"


def load(folder: Path, code: str) -> None:
    file = folder / "mine.py"
    file.write_text(code)
    load_code(file)


def test_two_forward_passes_train(preference: str, tmp_path: Path) -> None:
    config = configuration(preference, *PLAIN, "train.objective.push=1", "train.epochs=30")
    assert undisturbed(config, tmp_path / "run")["metrics"]["test"]["accuracy"] > 0.8
    losses = [line["loss"] for line in lines(tmp_path / "run", "train")]
    assert losses[-1] < 0.6 * losses[0]


def test_control_the_loss_of_the_task_is_another_training(preference: str, tmp_path: Path) -> None:
    undisturbed(configuration(preference), tmp_path / "own")
    undisturbed(configuration(), tmp_path / "task")
    own, task = (lines(tmp_path / name, "train") for name in ("own", "task"))
    assert own[0]["loss"] != task[0]["loss"]


def test_a_setting_of_the_objective_is_read(preference: str, tmp_path: Path) -> None:
    undisturbed(configuration(preference), tmp_path / "a")
    undisturbed(configuration("train.objective={name: preference, beta: 0.1}"), tmp_path / "b")
    assert lines(tmp_path / "a", "train") != lines(tmp_path / "b", "train")


@pytest.mark.parametrize("stops_at", [(3,), (7, 12)])
def test_it_resumes_to_the_bit(preference: str, tmp_path: Path, stops_at: tuple[int, ...]) -> None:
    """With dropout, accumulation and lines of the log that span the interruption."""
    undisturbed(configuration(preference), tmp_path / "whole")
    interrupted(configuration(preference), tmp_path / "parts", stops_at)
    assert_same(trace(tmp_path / "whole"), trace(tmp_path / "parts"))


def test_its_parts_are_logged_and_sum_up(preference: str, tmp_path: Path) -> None:
    undisturbed(configuration(preference), tmp_path / "run")
    for line in lines(tmp_path / "run", "train"):
        assert line["loss/ranked"] + line["loss/fit"] == pytest.approx(line["loss"], rel=1e-5)


def test_the_row_that_makes_it_diverge_is_named(preference: str, tmp_path: Path) -> None:
    run = begin(configuration(preference), tmp_path / "run")
    rows = run.parts.dataset.train
    assert isinstance(rows.inputs, Dense)
    position = int(torch.cat(run.parts.batches.indices(0))[2])
    rows.inputs.x[position, 1] = math.nan
    message = stops(run)
    assert "the input x is not finite" in message
    assert f"training row {int(rows.rows[position])}" in message


def test_micro_batches_weigh_as_one_batch(preference: str, tmp_path: Path) -> None:
    """Without batch statistics and dropout, 2 of 8 rows are one of 16."""
    model = "model={name: mlp, width: 8, depth: 1}"
    sizes = (
        ("train.batch_size=8", "train.accumulate=2"),
        ("train.batch_size=16", "train.accumulate=1"),
    )
    for name, size in zip("ab", sizes, strict=True):
        undisturbed(configuration(preference, model, *PLAIN, *size), tmp_path / name)
    a, b = (lines(tmp_path / name, "train")[0]["loss"] for name in "ab")
    assert a == pytest.approx(b, rel=1e-5)


def lines(run: Path, split: str) -> list[dict[str, Any]]:
    return [
        {k: v for k, v in line.items() if k != "time"}
        for line in read_metrics(RunFolder(run).path / "metrics.jsonl")
        if line["split"] == split
    ]


WRONG = [
    ("return outputs.sum()", "the objective gives Tensor []; it must give"),
    ("return outputs, 3", "the objective gives tuple; it must give"),
    ("return 1.0, 2.0", "the objective gives tuple; it must give"),
    ("return None", "the objective gives NoneType; it must give"),
    ("return outputs.sum(), 'many'", "the objective gives tuple; it must give"),
    ("return outputs.sum(), 3, {'part': 1.0}", "the objective gives tuple; it must give"),
    ("return outputs.sum(), 0 / 0", "ZeroDivisionError: division by zero"),
]


@pytest.mark.parametrize(("last", "message"), WRONG)
def test_what_is_no_loss_is_refused(last: str, message: str, tmp_path: Path) -> None:
    load(
        tmp_path,
        f"""
import ftune
@ftune.objective("bad")
def bad(forward, batch):
    outputs, batch = forward(batch)
    {last}
""",
    )
    run = begin(configuration("train.objective=bad"), tmp_path / "run")
    with pytest.raises(RequestError) as error:
        train(run)
    assert message in str(error.value)
    assert "mine.py:" in str(error.value)


def test_a_function_of_something_else_is_no_objective(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"mine\.py:3: the objective `o` must take \(forward, ba"
    ):
        load(tmp_path, "import ftune\n\n@ftune.objective('o')\ndef o(outputs, y): ...\n")


def test_an_unknown_name_has_the_nearest_one(preference: str) -> None:
    del preference
    with pytest.raises(ConfigError, match="did you mean `preference`"):
        configuration("train.objective=preferense")
