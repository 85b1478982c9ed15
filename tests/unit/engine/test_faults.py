"""Steps that go wrong: what is found, what is said, what is done, and that nothing moves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from support.faulty import bad_at, begin, row_of_step, spoil_row, state_hash, stops
from support.kinds import images, write
from support.trainings import QUIET, assert_same, tensor_hash, trace

from ftune.assembly.build import build, read_data
from ftune.assembly.fault_policy import named_rows
from ftune.engine.faults import SpikeGuard
from ftune.engine.state import State
from ftune.errors import SpikeError
from ftune.runs import checkpoint
from ftune.runs.folder import RunFolder, read_metrics
from ftune.schema.root import LANGUAGE
from ftune.training.callbacks.checkpointer import Checkpointer
from ftune.training.reopen import reopen
from ftune.training.run import new_run
from ftune.training.train import train

BAD = (math.nan, math.inf)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_stops_and_nothing_moves(where: str, bad: float, tmp_path: Path) -> None:
    run = begin(tmp_path / "bad")
    with bad_at(5, where, bad):
        said = stops(run)
    clean = begin(tmp_path / "clean")
    clean.pause_at = 5
    train(clean)
    assert "step 6" in said and ("the loss is" if where == "loss" else "the gradient of") in said
    assert state_hash(run.state) == state_hash(clean.state)


def test_the_row_and_the_first_tensor_are_named(tmp_path: Path) -> None:
    run = begin(tmp_path / "run")
    number = spoil_row(run, row_of_step(run, 4, 3), math.nan)
    said = stops(run)
    assert "step 5:" in said and f"training row {number}" in said and "the input x" in said


def test_the_first_layer_is_named(tmp_path: Path) -> None:
    """A number that is finite, and whose product with a weight is not."""
    run = begin(tmp_path / "run")
    number = spoil_row(run, row_of_step(run, 2, 0), 3e38)
    run.state.model.get_submodule("layer1").weight.data[:, 1] = 5.0  # type: ignore[operator]
    said = stops(run)
    assert "the output of layer1 (Linear)" in said and f"training row {number}" in said


def test_a_broken_weight_is_named_not_the_rows(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", "adapt=[]")
    run.pause_at = 3
    train(run)
    run.pause_at = None
    run.state.model.get_submodule("last").bias.data[0] = math.nan  # type: ignore[operator]
    said = stops(run)
    assert "parameter last.bias is not finite" in said and "training row" not in said


def test_skip_leaves_one_step_out(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", "train.non_finite=skip")
    number = spoil_row(run, row_of_step(run, 4, 3), math.inf)
    summary = train(run)
    assert summary["status"] == "done" and run.state.skipped_faults == 2  # once in each epoch
    lines = [m for m in read_metrics(tmp_path / "run/metrics.jsonl") if m["split"] == "fault"]
    assert [f"row {number}" in line["reason"] for line in lines] == [True, True]
    assert all(math.isfinite(m["loss"]) for m in read_metrics(tmp_path / "run/metrics.jsonl")
               if m["split"] == "train")  # fmt: skip


def test_skipping_is_resumed_exactly(tmp_path: Path) -> None:
    traces = []
    for name, pause in (("whole", None), ("parts", 7)):
        run = begin(tmp_path / name, "train.non_finite=skip", "train.log_every=1")
        row = row_of_step(run, 4, 3)
        spoil_row(run, row, math.inf)
        run.pause_at = pause
        train(run)
        if pause:
            folder = RunFolder(tmp_path / name)
            folder.describe(data="")  # the spoilt row is not in the file
            run = reopen(folder, QUIET, allow_inexact=True)
            spoil_row(run, row, math.inf)
            train(run)
        traces.append(trace(tmp_path / name))
    assert_same(*traces)


def test_rollback_takes_weights_and_optimizer_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ("train.non_finite=rollback", "train.checkpoint_every={steps: 3}", "train.keep=9")
    run = begin(tmp_path / "run", *changes, "eval.every={epochs: 9}")
    seen: list[tuple[int, dict[str, str]]] = []
    original = Checkpointer.rollback

    def watched(self: Checkpointer, state: State) -> str:
        said = original(self, state)
        seen.append((state.step, state_hash(state)))
        return said

    monkeypatch.setattr(Checkpointer, "rollback", watched)
    with bad_at(7, "loss", math.nan):
        assert train(run)["steps"] == run.parts.total
    assert [step for step, _ in seen] == [7]
    saved = checkpoint.load(checkpoint.place(tmp_path / "run/checkpoints", 6))
    kept = {**saved.model, **{k: t for k, t in saved.training.items() if "rng/" not in k}}
    assert seen[0][1] == {k: tensor_hash(t) for k, t in kept.items()}


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_faults_without_end_end_the_run(policy: str, tmp_path: Path) -> None:
    run = begin(tmp_path / "run", f"train.non_finite={{policy: {policy}, limit: 3}}")
    with bad_at(2, "loss", math.nan, times=10**6):
        said = stops(run)
    assert "after 3 faults" in said and run.state.step == 5
    assert RunFolder(tmp_path / "run").facts()["status"] == "failed"


def test_never_the_best_where_the_loss_is_not_finite(tmp_path: Path) -> None:
    """Accuracy is a finite number whatever the outputs are."""
    run = begin(tmp_path / "run", "eval.metric=accuracy", "train.non_finite=skip")
    val = run.parts.dataset.val
    assert val is not None
    val.x[0] = math.nan
    summary = train(run)
    assert summary["best"] is None
    assert not (tmp_path / "run/checkpoints/best.json").exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", "adapt=[]")
    run.state.model.get_submodule("last").bias.data[0] = math.nan  # type: ignore[operator]
    assert "last.bias is not finite" in stops(run)
    assert not list((tmp_path / "run/checkpoints").glob("step-*"))


def spiked(losses: list[float], threshold: float = 8.0, window: int = 20) -> list[int]:
    """Which of these losses the guard refuses."""
    guard, state = SpikeGuard(threshold, window), State.__new__(State)
    state.recent_losses, found = [], []
    for index, loss in enumerate(losses):
        try:
            guard(state, loss)
        except SpikeError:
            found.append(index)
    return found


def test_spikes_are_found_and_ordinary_noise_is_not() -> None:
    noise = torch.randn(500, generator=torch.Generator().manual_seed(0)).tolist()
    losses = [2.0 - i / 500 + 0.1 * n for i, n in enumerate(noise)]
    assert spiked(losses) == []
    assert spiked([*losses[:100], 9.0, *losses[100:], 7.0]) == [100, 501]
    assert spiked([*losses[:10], 9.0]) == [], "too early to tell"


def test_spike_guard_in_a_run(tmp_path: Path) -> None:
    changes = ("train.spike_guard={threshold: 8, window: 10}", "train.epochs=6")
    run = begin(tmp_path / "run", *changes)
    with bad_at(40, "loss", 1000.0):
        train(run)
    assert run.state.skipped_faults == 1 and len(run.state.recent_losses) == 10
    lines = [m for m in read_metrics(tmp_path / "run/metrics.jsonl") if m["split"] == "fault"]
    assert [m["step"] for m in lines] == [41] and "jumped" in lines[0]["reason"]
    state = json.loads((run.folder.checkpoints / "latest.json").read_text())
    saved = checkpoint.load(run.folder.checkpoints / state["checkpoint"]).meta["loop"]
    assert saved["faults"] == 1 and saved["recent"] == run.state.recent_losses


def test_images_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    plain = images(tmp_path)
    config = LANGUAGE.of(plain | {"train": {**plain.get("train", {}), "epochs": 1}})
    run = new_run("optimize", "", tmp_path / "run", config, build(config, read_data(config)), QUIET)
    position = int(torch.cat(run.parts.batches.indices(0))[1])
    (name,) = named_rows(run.parts, [position])
    assert name.startswith(f"{int(run.parts.dataset.train.rows[position])} (")
    file = Path(name.partition("(")[2][:-1])
    assert file.exists() or any(tmp_path.rglob(file.name))
