"""One training from parts to summary: what it leaves behind, also when it fails."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.trainings import QUIET, begin, configuration, trace, undisturbed

from ftune.engine.state import State
from ftune.engine.step import Step, StepResult
from ftune.errors import DivergedError, InterruptedRunError, RequestError, RunFailedError
from ftune.runs import checkpoint
from ftune.runs.folder import Metrics, RunFolder, read_metrics
from ftune.training import reopen as reopen_module
from ftune.training import resume_check
from ftune.training.callbacks.stop_signals import StopSignals
from ftune.training.reopen import reopen
from ftune.training.train import train

SHORT = ("train.epochs=2",)


def facts(out: Path) -> dict[str, Any]:
    return RunFolder(out).facts()


def test_summary_and_files(tmp_path: Path) -> None:
    summary = undisturbed(configuration(*SHORT), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert (summary["status"], summary["steps"], summary["epochs"]) == ("done", 12, 2.0)
    assert summary["parameters"]["total"] == summary["parameters"]["trainable"] == 131
    assert set(summary["metrics"]) == {"train", "val", "test"}
    assert summary["metrics"]["val"]["loss"] == summary["best"]["value"]
    assert Path(summary["checkpoint"]).is_dir()
    assert facts(tmp_path / "run")["status"] == "done"
    names = {p.name for p in (tmp_path / "run").iterdir()}
    files = {"config.yaml", "run.json", "profile.json", "metrics.jsonl", "summary.json"}
    assert names == files | {"checkpoints"}


def test_best_is_the_best_line_of_metrics(tmp_path: Path) -> None:
    summary = undisturbed(configuration("optimizer.lr=0.6"), tmp_path / "run")
    lines = [m for m in read_metrics(tmp_path / "run" / "metrics.jsonl") if m["split"] == "val"]
    best = min(lines, key=lambda m: m["loss"])
    assert (summary["best"]["step"], summary["best"]["value"]) == (best["step"], best["loss"])
    assert best["step"] < lines[-1]["step"], "the case needs a best before the end"
    assert Path(summary["checkpoint"]).name == f"step-{best['step']:08d}"


def test_logged_losses_are_means_since_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    call = Step.__call__

    def watched(self: Step, *given: Any) -> StepResult:
        losses.append(call(self, *given).loss)
        return StepResult(losses[-1], 0.0)

    monkeypatch.setattr(Step, "__call__", watched)
    undisturbed(configuration(*SHORT), tmp_path / "run")
    lines = [m for m in read_metrics(tmp_path / "run" / "metrics.jsonl") if m["split"] == "train"]
    assert [m["step"] for m in lines] == [5, 10]
    assert [m["loss"] for m in lines] == [sum(losses[:5]) / 5, sum(losses[5:10]) / 5]


def test_divergence_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = Step.__call__

    def diverging(self: Step, state: State, *given: Any) -> StepResult:
        if state.step == 7:
            raise DivergedError("the loss is nan at step 8")
        return call(self, state, *given)

    monkeypatch.setattr(Step, "__call__", diverging)
    with pytest.raises(DivergedError):
        undisturbed(configuration(*SHORT), tmp_path / "run")
    assert facts(tmp_path / "run")["status"] == "failed"
    assert "step 8" in facts(tmp_path / "run")["reason"]
    assert RunFolder(tmp_path / "run").summary_json()["status"] == "failed"
    monkeypatch.undo()
    train(reopen(RunFolder(tmp_path / "run"), QUIET))
    undisturbed(configuration(*SHORT), tmp_path / "whole")
    assert trace(tmp_path / "run") == trace(tmp_path / "whole")


def test_diverging_for_real(tmp_path: Path) -> None:
    config = configuration(*SHORT, "optimizer={name: sgd, lr: 1e30}", "~train.clip_norm")
    with pytest.raises(DivergedError, match=r"not finite|is nan|is inf"):
        undisturbed(config, tmp_path / "run")
    assert checkpoint.newest_valid(tmp_path / "run" / "checkpoints")


@pytest.mark.parametrize("place", ["save", "point", "flush"])
def test_full_disk(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the disk is found full: one sentence, exit 1, and a run that can go on later."""
    calls = 0

    def full(*_: Any, **__: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        return original(*_, **__)

    if place == "flush":
        original: Any = Metrics.flush
        monkeypatch.setattr(Metrics, "flush", full)
    else:
        target, name = (checkpoint, "write_durable") if place == "save" else (checkpoint, "point")
        original = getattr(target, name)
        monkeypatch.setattr(target, name, full)
    with pytest.raises(RunFailedError, match=r"No space left.*bytes") as caught:
        undisturbed(configuration(*SHORT), tmp_path / "run")
    assert caught.value.exit_code == 1
    assert facts(tmp_path / "run")["status"] == "failed"
    monkeypatch.undo()
    train(reopen(RunFolder(tmp_path / "run"), QUIET))
    undisturbed(configuration(*SHORT), tmp_path / "whole")
    assert trace(tmp_path / "run") == trace(tmp_path / "whole")


def test_no_space_even_for_the_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(configuration(*SHORT), tmp_path / "run")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "write_durable", full)
    monkeypatch.setattr("ftune.runs.folder.write_json", full)
    with pytest.raises(RunFailedError, match="No space left"):
        train(run)


def test_a_stop_is_said_with_the_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(configuration(*SHORT), tmp_path / "run")
    monkeypatch.setattr(
        StopSignals, "stop", lambda _, state: "interrupted" if state.step == 4 else None
    )
    with pytest.raises(InterruptedRunError, match="ftune resume") as caught:
        train(run)
    assert caught.value.exit_code == 130
    assert facts(tmp_path / "run")["status"] == "interrupted"
    latest = checkpoint.pointed(tmp_path / "run" / "checkpoints", "latest")
    assert latest is not None and latest.name == "step-00000004"


@pytest.mark.parametrize("change", ["threads", "total", "torch", "rows", "device"])
def test_what_cannot_be_exact_is_named(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(begin(configuration(*SHORT), tmp_path / "run", pause_at=3))
    named = resume_check.exactness

    def other(*of: Any) -> dict[str, Any]:
        return named(*of) | {change: "another"}

    monkeypatch.setattr(reopen_module, "exactness", other)
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(RequestError, match=rf"{change}: was .*, is another(?s:.*)--allow-inexact"):
        reopen(folder, QUIET)
    assert reopen(folder, QUIET, allow_inexact=True).state.step == 3


def test_changed_data_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(begin(configuration(*SHORT), tmp_path / "run", pause_at=3))
    monkeypatch.setattr(reopen_module, "fingerprint", lambda _: "another")
    with pytest.raises(RequestError, match="the data has changed"):
        reopen(RunFolder(tmp_path / "run"), QUIET)


def test_a_damaged_newest_checkpoint_is_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(*SHORT, "train.checkpoint_every={steps: 1}", "train.keep=3")
    undisturbed(config, tmp_path / "whole")
    train(begin(config, tmp_path / "run", pause_at=7))
    newest = tmp_path / "run" / "checkpoints" / "step-00000007"
    (newest / "training.safetensors").write_bytes(b"torn")
    run = reopen(RunFolder(tmp_path / "run"), QUIET)
    assert run.state.step == 6
    assert "step-00000007" in capsys.readouterr().err
    train(run)
    assert trace(tmp_path / "run") == trace(tmp_path / "whole")


def test_parameters_without_gradient_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A unit that a zero weight cuts off: relu of a large negative bias gives no gradient."""
    run = begin(configuration(*SHORT, "~adapt"), tmp_path / "run", pause_at=1)
    run.parts.model.get_parameter("norm.bias").data.fill_(-1e6)
    train(run)
    said = capsys.readouterr().err
    assert "trained but without gradient: layer1.weight" in said
    assert "it was exactly 0" in said and "nothing depends" not in said


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    config = configuration("train.checkpoint_every={steps: 1}", "train.keep=2")
    undisturbed(config, tmp_path / "run")
    names = sorted(p.name for p in (tmp_path / "run" / "checkpoints").glob("step-*"))
    best = checkpoint.pointed(tmp_path / "run" / "checkpoints", "best")
    assert best is not None
    assert names == sorted({"step-00000023", "step-00000024", best.name})


def test_a_last_batch_of_one_row_is_left_out_and_said(tmp_path: Path) -> None:
    """One row has no variance to normalise by; leaving rows out must not be silent."""
    config = configuration("data.split={val: 20, test: 33}")
    run = begin(config, tmp_path / "run")
    assert len(run.parts.dataset.train) == 97
    assert any("left out" in note for note in run.parts.notes)
    assert not any("left out" in n for n in begin(configuration(), tmp_path / "b").parts.notes)


def test_a_signal_in_the_last_step_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to be trained, but the final scores could take minutes."""
    run = begin(configuration(*SHORT), tmp_path / "run")
    call = Step.__call__

    def asked_to_stop(self: Step, state: State, *given: Any) -> StepResult:
        if state.step == run.parts.total - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, state, *given)

    monkeypatch.setattr(Step, "__call__", asked_to_stop)
    with pytest.raises(InterruptedRunError) as raised:
        train(run)
    assert raised.value.exit_code == 143
    assert facts(tmp_path / "run")["status"] == "interrupted"
    assert train(reopen(RunFolder(tmp_path / "run"), QUIET))["status"] == "done"
    monkeypatch.undo()
    undisturbed(configuration(*SHORT), tmp_path / "whole")
    assert trace(tmp_path / "run") == trace(tmp_path / "whole")
