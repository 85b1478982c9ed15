"""Searches over tiny sets: what they could not tell is said, wherever the rate is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from support.trainings import EVERYTHING, QUIET, configuration

from ftune.assembly.build import build, read_data
from ftune.commands.lr_find import lr_find
from ftune.commands.request import Request
from ftune.commands.sweep import sweep
from ftune.commands.train import optimize
from ftune.errors import RequestError
from ftune.runs.folder import RunFolder
from ftune.search.caveats import what_remains_open
from ftune.search.lr_find import LrFindResult, find
from ftune.search.row_losses import RowLosses
from ftune.search.ties import Point, rivals
from ftune.training.reopen import reopen
from ftune.training.run import new_run
from ftune.training.train import train

IRIS = {k: v for k, v in EVERYTHING.items() if k not in ("adapt", "train", "eval", "schedule")}
SHORT = IRIS | {"train": {"epochs": 4, "batch_size": 8, "steps": 30},
                "lr_find": {"low": 1e-3, "high": 1.0, "per_decade": 1, "refine": 3}}  # fmt: skip
EIGHT = "size,width,kind\n" + "".join(f"{i},{i * 7 % 5},{'ab'[i % 2]}\n" for i in range(8))


def search(plain: dict[str, Any], *changes: str) -> LrFindResult:
    config = configuration(*changes, plain=plain)
    return find(config, read_data(config), None)


def said(finding: LrFindResult, *words: str) -> bool:
    return any(all(word in note for word in words) for note in finding.notes)


def eight_rows(place: Path) -> dict[str, Any]:
    (place / "eight.csv").write_text(EIGHT)
    return {
        "task": "classification",
        "data": {"source": "csv", "path": str(place / "eight.csv"), "target": "kind",
                 "split": {"val": 0.25, "test": 0}},
        "model": {"name": "mlp", "width": 8}, "optimizer": {"name": "adamw", "lr": "auto"},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip


def test_few_steps_are_said(tmp_path: Path) -> None:
    finding = search(eight_rows(tmp_path))
    assert said(finding, "too few steps to tell", "2 and 10 steps")


def test_rows_that_cannot_tell_any_rate_from_no_training_are_said() -> None:
    def point(rate: float, *losses: float) -> Point:
        rows = torch.tensor(losses, dtype=torch.float64)
        return Point(rate, float(rows.mean()), 30, RowLosses(rows, torch.ones_like(rows), 0.0, 2))

    untrained = point(0.0, 0.7, 0.7)
    curve = [point(0.01, 0.69, 0.72), point(0.1, 0.3, 0.9), point(1.0, 3.0, 0.1)]
    notes = what_remains_open(curve, curve, untrained, on_edge=True)
    assert len(notes) == 1 and "2 validation rows cannot tell that any rate improves" in notes[0]
    curve = [point(0.01, 0.69, 0.72), point(0.1, 0.3, 0.5), point(1.0, 3.0, 2.0)]
    notes = what_remains_open(curve, curve, untrained, on_edge=False)
    assert notes == [], "control: better on both rows"


def test_an_edge_and_what_lies_beyond_it_are_said() -> None:
    def point(rate: float, loss: float) -> Point:
        rows = torch.tensor([loss, loss + 0.01], dtype=torch.float64)
        return Point(rate, loss, 30, RowLosses(rows, torch.ones_like(rows), 0.0, 2))

    untrained = point(0.0, 9.0)
    survey = [point(rate, 1 / rate) for rate in (0.25, 0.5, 1.0)]
    rising = [point(rate, 1 / rate) for rate in (0.5, 1.0, 2.0)]
    edge, beyond = what_remains_open(survey, rising, untrained, on_edge=True)
    assert "is the largest of the rates tried, 0.5 to 2; raise lr_find.high" in edge
    assert beyond == "the second pass tried rates up to 2, above lr_find.high 1"
    falling = [point(rate, rate) for rate in (0.25, 0.5)]
    (edge,) = what_remains_open(survey, falling, untrained, on_edge=True)
    assert "is the smallest" in edge and "lower lr_find.low" in edge
    assert what_remains_open(survey, survey[:2], untrained, on_edge=False) == [], "control"


def test_enough_steps_are_not() -> None:
    finding = search(SHORT, "train.steps=60")
    assert finding.curve[0].steps == 30
    assert not said(finding, "too few steps")


def test_phases_that_never_begin_are_named() -> None:
    rules = 'adapt=[{match: "layer1.*", from_epoch: 2}, {match: "norm.*", from_epoch: 1}]'
    changes = (rules, "train.steps=50", "train.batch_size=8")  # 12 steps an epoch
    finding = search(SHORT, *changes)
    assert said(finding, "norm.* (from_epoch: 1)", "the first pass's", "step 12 of 50", "5 steps")
    assert not said(finding, "norm.*", "the short trainings")
    never = search(SHORT, rules.replace("2", "3"), "train.steps=50", "train.batch_size=8")
    assert said(never, "layer1.* (from_epoch: 3)", "the short trainings", "5 and 25 steps")
    assert not said(search(SHORT, "train.steps=50"), "from_epoch"), "without phases"


def test_where_nothing_is_trained_the_search_is_refused() -> None:
    with pytest.raises(RequestError, match="no parameter is trained before epoch 1"):
        search(SHORT, 'adapt=[{match: "*", from_epoch: 1}]', "train.steps=50")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("{name: cosine, warmup: {steps: 40}}", ("schedule.warmup", "40 steps", "at most 15")),
        ("plateau", ("plateau", "never drops")),
        ("{name: step, every: 1}", ("schedule.every",)),
        ("{name: exponential, gamma: 0.9}", ("schedule.gamma",)),
    ],
)
def test_schedules_that_are_not_compressed_are_named(schedule: str, words: tuple[str, ...]) -> None:
    assert said(search(SHORT, f"schedule={schedule}"), *words)
    assert not said(search(SHORT, "schedule={name: step, gamma: 0.5}"), *words)


def test_wine_takes_the_smallest_of_the_rates_that_17_rows_cannot_tell_apart() -> None:
    data = {"source": "sklearn", "name": "wine", "split": {"val": 17, "test": 36}}
    plain = IRIS | {
        "seed": 0, "data": data, "model": {"name": "mlp"}, "optimizer": {"name": "adamw"},
        "train": {"batch_size": 16, "epochs": 30}, "lr_find": {"max_steps": 60},
    }  # fmt: skip
    finding = search(plain)
    assert min(p.loss for p in finding.curve) < 1e-6, "the case is the one meant"
    assert finding.suggested <= 0.02, "0.18 before, whose test loss is 0.3 to 13"
    assert said(finding, "tie", "17 validation rows", "the smallest of these rates")
    assert finding.low <= finding.suggested
    # Control: rows that could tell any two losses apart leave the best alone.
    blind = [type(p)(p.lr, p.loss, p.steps) for p in finding.curve]
    assert len(rivals(blind)) < len(rivals(finding.curve))


def test_a_run_with_lr_auto_keeps_the_caveat(tmp_path: Path) -> None:
    plain = eight_rows(tmp_path)
    summary = optimize(Request(configuration(plain=plain), "", tmp_path / "run", QUIET))
    notes = [n for n in summary["notes"] if n.startswith("learning rate: ")]
    assert any("too few steps to tell" in note for note in notes)
    on_disk = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert on_disk["notes"] == summary["notes"]
    assert RunFolder(tmp_path / "run").facts()["notes"] == summary["notes"]


def test_a_resumed_run_keeps_it_too(tmp_path: Path) -> None:
    config = configuration(plain=SHORT)
    parts = build(config, read_data(config))
    parts.notes.append("learning rate: a guess")
    run = new_run("optimize", "", tmp_path / "run", config, parts, QUIET)
    run.pause_at = 12
    train(run)
    summary = train(reopen(RunFolder(tmp_path / "run"), QUIET))
    assert summary["status"] == "done" and "learning rate: a guess" in summary["notes"]
    assert len(summary["notes"]) == len(set(summary["notes"]))


def test_a_sweep_over_lr_auto_says_it_of_its_best(tmp_path: Path) -> None:
    block = {"sweep": {"scientific": {"model.width": [4, 8]}}}
    config = configuration(plain=eight_rows(tmp_path) | block)
    summary = sweep(Request(config, "", tmp_path / "s", QUIET))
    name = f"trial {summary['best_trial']}: learning rate: too few steps to tell"
    assert any(note.startswith(name) for note in summary["notes"])


def test_the_summary_of_a_search_has_its_notes(tmp_path: Path) -> None:
    summary = lr_find(Request(configuration(plain=eight_rows(tmp_path)), "", tmp_path / "r", QUIET))
    assert any("too few steps to tell" in note for note in summary["notes"])
