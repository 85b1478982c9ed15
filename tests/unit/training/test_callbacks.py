"""A tracker is one more callback: it hears everything, and the others write what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.trainings import QUIET, begin, configuration, trace, undisturbed

from ftune.assembly.job import job
from ftune.console import Console
from ftune.engine.callback import Callback, Callbacks
from ftune.engine.decision import Decision, Reason
from ftune.engine.loop import Outcome, fit
from ftune.engine.scores import Scores
from ftune.engine.state import State
from ftune.engine.step import StepResult
from ftune.runs import checkpoint
from ftune.runs.folder import read_metrics
from ftune.runtime.signals import Stopper
from ftune.training.callbacks.stop_signals import StopSignals
from ftune.training.train import default_callbacks


class Tracker(Callback):
    """Holds scalars by name, as tensorboard and mlflow do."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.closed = False

    def on_step(self, state: State, result: StepResult) -> None:
        self._add(state.step, {"train/loss": result.loss})

    def on_evaluate(self, state: State, scores: Scores) -> None:
        self._add(state.step, {f"val/{name}": value for name, value in scores.items()})

    def close(self) -> None:
        self.closed = True

    def _add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.scalars.setdefault(name, []).append((step, value))


class Meddler(Tracker):
    """A tracker that is not one: it ends the training."""

    def stop(self, state: State) -> Reason | None:
        return "interrupted" if state.step == 7 else None


def tracked(out: Path, tracker: Tracker) -> Outcome:
    run = begin(configuration(), out)
    with QUIET.progress("", run.parts.total) as bar, run.folder:
        callbacks = Callbacks(default_callbacks(run, bar, Stopper()), tracker)
        outcome = fit(run.state, job(run.parts, callbacks))
        callbacks.close()
    return outcome


def test_a_tracker_hears_everything_and_changes_nothing(tmp_path: Path) -> None:
    undisturbed(configuration(), tmp_path / "plain")
    tracker = Tracker()
    assert tracked(tmp_path / "tracked", tracker).reason == "done" and tracker.closed
    assert trace(tmp_path / "tracked") == trace(tmp_path / "plain")
    lines = read_metrics(tmp_path / "plain/metrics.jsonl")
    scores = [(line["step"], line["loss"]) for line in lines if line["split"] == "val"]
    assert tracker.scalars["val/loss"] == scores
    assert [step for step, _ in tracker.scalars["train/loss"]] == list(range(1, 25))
    first = [loss for _, loss in tracker.scalars["train/loss"][:5]]
    assert sum(first) / 5 == next(line["loss"] for line in lines if line["split"] == "train")


def test_a_callback_that_meddles_is_seen(tmp_path: Path) -> None:
    """Negative control of the test above."""
    undisturbed(configuration(), tmp_path / "plain")
    assert tracked(tmp_path / "tracked", Meddler()).reason == "interrupted"
    assert trace(tmp_path / "tracked") != trace(tmp_path / "plain")


def test_what_is_not_logged_yet_is_in_the_checkpoint(tmp_path: Path) -> None:
    tracker = Meddler()
    tracked(tmp_path / "run", tracker)
    loop = checkpoint.newest_valid(tmp_path / "run/checkpoints")[0].meta["loop"]
    assert list(loop)[-4:] == ["unlogged", "unlogged_parts", "ranking", "anchor"]
    assert loop["step"] == 7
    unlogged = [loss for _, loss in tracker.scalars["train/loss"][5:]]
    assert loop["unlogged"] == [sum(unlogged), 2], "the last line is that of step 5"


class Written(Callback):
    """Writes every call into a list shared with others."""

    def __init__(self, calls: list[str], name: str, answer: Any = None) -> None:
        self.calls, self.name, self.answer = calls, name, answer

    def save_due(self, state: State, scores: Scores | None) -> bool:
        del state, scores
        self.calls.append(f"{self.name}.save_due")
        return bool(self.answer)

    def stop(self, state: State) -> Reason | None:
        del state
        return "early" if self.answer else None

    def rollback(self, state: State) -> str:
        del state
        return self.answer or ""

    def warn(self, text: str) -> None:
        self.calls.append(f"{self.name}.warn {text}")

    def on_no_grad(self, names: Sequence[str], why: str) -> None:
        self.calls.append(f"{self.name}.on_no_grad {names} {why}")

    def state_dict(self) -> dict[str, Any]:
        return {self.name: self.answer}

    def close(self) -> None:
        self.calls.append(f"{self.name}.close")
        if self.answer == "bad":
            raise OSError("full")


def test_several_callbacks_answer_as_one() -> None:
    calls, state = list[str](), cast(State, None)
    both = Callbacks(Written(calls, "a", "here"), Written(calls, "b"))
    assert both.save_due(state, None)
    both.warn("x")
    both.on_no_grad(["w"], "unused")
    both.close()
    assert calls == [
        "a.save_due", "b.save_due", "a.warn x", "b.warn x", "a.on_no_grad ['w'] unused",
        "b.on_no_grad ['w'] unused", "b.close", "a.close",
    ]  # fmt: skip
    assert both.stop(state) == "early" and both.rollback(state) == "here"
    assert both.state_dict() == {"a": "here", "b": None}
    neither = Callbacks(Written(calls, "a"), Callback())
    assert not neither.save_due(state, None) and neither.stop(state) is None
    assert neither.rollback(state) == ""


def test_one_that_cannot_be_closed_keeps_none_open() -> None:
    calls = list[str]()
    with pytest.raises(OSError, match="full"):
        Callbacks(Written(calls, "a"), Written(calls, "b", "bad")).close()
    assert calls == ["b.close", "a.close"]


@pytest.mark.parametrize(("save", "left"), [(True, False), (False, True)])
def test_a_request_to_save_stays_until_a_checkpoint_is_there(
    save: bool, left: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal that comes between the decision and the checkpoint is answered at the next step."""
    stopper = Stopper()
    signals = StopSignals(Console(), stopper)
    stopper.save = True
    state = cast(State, SimpleNamespace(step=3))
    assert signals.save_due(state, None)
    signals.save(state, None, Decision(save=save))
    assert stopper.save == left
    assert ("saved at step 3" in "".join(capsys.readouterr())) == save
