"""What is scored at the end, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, begin, configuration

from ftune.adapt.quantize import load_tensors
from ftune.assembly import job
from ftune.assembly.build import build, read_data
from ftune.commands import lr_find
from ftune.commands.request import Request
from ftune.commands.train import optimize
from ftune.runs.base import weights
from ftune.runs.checkpoint import load, pointed
from ftune.runs.folder import RunFolder, read_metrics
from ftune.training.reopen import reopen
from ftune.training.train import logged_scores, train

TEXT: dict[str, Any] = {
    "task": "classification",
    "model": {"name": "sequential", "layers": [{"embedding": 4}, "globalpool", {"linear": "out"}]},
}


@contextmanager
def scored(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collects the rows of each split that is passed through the model."""
    real, seen = job.score, list[int]()

    def noted(parts: Any, split: Any, *more: Any) -> dict[str, float]:
        seen.append(len(split))
        return real(parts, split, *more)

    with monkeypatch.context() as patch:
        patch.setattr(job, "score", noted)
        yield seen


@pytest.mark.parametrize(("train_rows", "extra"), [("auto", [96]), ("false", []), ("true", [96])])
def test_what_was_scored_is_not_scored_again(
    train_rows: str, extra: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """iris: 96 rows to train on, 22 for validation, 32 for the test; 24 steps, looked every 8."""
    config = configuration(f"eval.train={train_rows}", "eval.every={steps: 8}")
    run = begin(config, tmp_path / "run")
    with scored(monkeypatch) as seen:
        summary = train(run)
    assert sorted(seen) == sorted([22] * 4 + [32] + extra)
    lines = {line["step"]: line for line in read_metrics(tmp_path / "run" / "metrics.jsonl")
             if line["split"] == "val"}  # fmt: skip
    delivered = lines[summary["best"]["step"]]
    assert summary["metrics"]["val"].items() <= delivered.items()
    best = pointed(tmp_path / "run" / "checkpoints", "best")
    assert best is not None
    load_tensors(run.parts.model, weights(load(best)))
    again = job.score(run.parts, run.parts.dataset.splits["val"])
    assert summary["metrics"]["val"] == again, "the very weights that are delivered"
    assert logged_scores(run, 7) == {}, "nobody looked there"


def test_without_a_look_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration("eval.at_start=false", "eval.every={steps: 12}")
    with scored(monkeypatch) as seen:
        train(begin(config, tmp_path / "run"))
    assert seen.count(22) == 2
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in lines if line["split"] == "val"] == [12, 24]
    assert pointed(tmp_path / "run" / "checkpoints", "best") is not None


def test_a_resumed_run_knows_what_was_scored(tmp_path: Path) -> None:
    whole = train(begin(configuration(), tmp_path / "whole"))
    train(begin(configuration(), tmp_path / "parts", pause_at=13))
    parts = train(reopen(RunFolder(tmp_path / "parts"), QUIET))
    assert parts["metrics"] == whole["metrics"]


def test_seconds_include_the_search_of_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    real = vars(lr_find)["find"]

    def slow(*given: Any) -> Any:
        time.sleep(1.5)
        return real(*given)

    monkeypatch.setattr(lr_find, "find", slow)
    config = configuration("optimizer.lr=auto", "lr_find.max_steps=2", "lr_find.per_decade=1")
    summary = optimize(Request(config, "t", tmp_path / "run", QUIET))
    assert summary["seconds"] > 1.5


def test_texts_are_not_scored_in_training_unless_asked(tmp_path: Path) -> None:
    rows = ["text,y", *(f"{'good' if i % 2 else 'bad'} film {i},{i % 2}" for i in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    data = {"source": "csv", "path": str(tmp_path / "t.csv"), "text": "text", "target": "y",
            "split": {"val": 0.2}}  # fmt: skip
    plain = TEXT | {"data": data, "train": {"epochs": 1}}
    for change, more in (("seed=0", set[str]()), ("eval.train=true", {"train"})):
        config = configuration(change, plain=plain)
        parts = build(config, read_data(config))
        assert set(job.score_all(parts)) == {"val", "test"} | more
