"""`ftune rerun` says identical where a run is repeated, and names what was changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.again import KINDS, configured, prepare, run_kind, saved_bytes
from support.trainings import QUIET

from ftune.assembly.build import build, read_data
from ftune.commands.rerun import rerun
from ftune.errors import FtuneError, RequestError
from ftune.report.run_diff import causes, results, tensors
from ftune.runs import checkpoint
from ftune.runs.files import read_json, sha256, write_json
from ftune.runs.folder import RunFolder
from ftune.schema.root import LANGUAGE
from ftune.training.run import new_run
from ftune.training.train import train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("again")
    prepare(found)
    return found


@pytest.fixture(scope="module")
def kept(place: Path) -> Path:
    run_kind("table", configured("table", place), place / "kept")
    return place / "kept"


@pytest.fixture
def table(kept: Path, tmp_path: Path) -> Path:
    """A run of its own, to be changed."""
    shutil.copytree(kept, tmp_path / "run")
    return tmp_path / "run"


def again(run: Path) -> dict[str, Any]:
    return rerun(RunFolder(run), run.with_name(f"{run.name}-again"), QUIET)


@pytest.mark.parametrize("kind", KINDS)
def test_identical(kind: str, place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_kind(kind, configured(kind, place), run)
    summary = again(run)
    assert summary["identical"], summary["differences"]
    assert summary["difference"] is None
    assert saved_bytes(run) == saved_bytes(tmp_path / "run-again")


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_differs(kind: str, place: Path, tmp_path: Path) -> None:
    """The control: every kind has something in it that a seed changes."""
    for seed in (0, 1):
        run_kind(kind, configured(kind, place, seed), tmp_path / str(seed))
    assert next(results(RunFolder(tmp_path / "0"), RunFolder(tmp_path / "1")), None)


def change_facts(run: Path, **facts: Any) -> None:
    file = run / "run.json"
    write_json(file, read_json(file) | facts)


def change_metrics(run: Path, line: int, key: str, change: Callable[[Any], Any]) -> None:
    file = run / "metrics.jsonl"
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    lines[line - 1][key] = change(lines[line - 1][key])
    file.write_text("".join(json.dumps(one) + "\n" for one in lines))


def test_another_seed_in_the_config(table: Path) -> None:
    config = table / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0\n", "seed: 1\n"))
    found = again(table)
    assert found["difference"]["field"] == "seed"
    assert (found["difference"]["was"], found["difference"]["is"]) == (0, 1)
    assert [one["field"] for one in found["differences"]] == ["seed", "data"]  # other splits


def test_another_number_of_threads(table: Path) -> None:
    change_facts(table, threads=2)
    found = again(table)
    assert not found["identical"]
    assert found["difference"] == {"field": "threads", "was": 2, "is": 1, "note": ""}


def test_another_version_comes_first(table: Path) -> None:
    facts = read_json(table / "run.json")
    change_facts(table, threads=2, versions=facts["versions"] | {"torch": "2.0", "onnx": "0.1"})
    assert [one["field"] for one in again(table)["differences"]] == ["versions.torch", "threads"]


def test_another_row(place: Path, tmp_path: Path) -> None:
    """Nothing is trained where the data are no longer the same."""
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(place / "table.csv", own)
    run_kind("table", configured("table", own), tmp_path / "run")
    lines = (own / "table.csv").read_text().splitlines()
    lines[7] = "9.0" + lines[7][lines[7].index(",") :]
    (own / "table.csv").write_text("\n".join(lines) + "\n")
    found = again(tmp_path / "run")
    assert found["difference"]["field"] == "data" and found["run"] is None
    assert not (tmp_path / "run-again").exists()
    (own / "table.csv").unlink()
    with pytest.raises(RequestError, match=r"cannot be run again: .*table\.csv: no such file"):
        again(tmp_path / "run")


def test_another_base(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "llama", tmp_path / "llama")
    shutil.copy(place / "texts.csv", tmp_path)
    run_kind("lora", configured("lora", tmp_path), tmp_path / "run")
    file = tmp_path / "llama" / "model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[0]
    save_file(tensors | {name: tensors[name] + 1}, file, {"format": "pt"})
    found = again(tmp_path / "run")
    assert found["difference"]["field"].endswith("_sha256"), found
    shutil.rmtree(tmp_path / "llama")
    with pytest.raises(FtuneError):
        again(tmp_path / "run")


def test_a_line_of_metrics(table: Path) -> None:
    """The last bit of a number that prints alike is shown as it is."""
    change_metrics(table, 3, "loss", lambda loss: loss * (1 + 2**-52))
    found = again(table)["difference"]
    assert found["field"].startswith("metrics.jsonl line 3 (step ") and "loss" in found["field"]
    assert found["was"].startswith("0x1.") and found["was"] != found["is"]


def test_lines_that_are_missing(table: Path) -> None:
    file = table / "metrics.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert again(table)["difference"]["field"] == "metrics.jsonl lines"


def test_a_tensor(table: Path) -> None:
    path = checkpoint.pointed(table / "checkpoints", "best")
    assert path is not None
    tensors = load_file(path / "model.safetensors")
    tensors["last.bias"][1] += 0.5
    save_file(tensors, path / "model.safetensors")
    manifest = read_json(path / "manifest.json")
    manifest["files"]["model.safetensors"] = sha256(path / "model.safetensors")
    write_json(path / "manifest.json", manifest)
    found = again(table)["difference"]
    assert found["field"] == "checkpoint best, model last.bias"
    assert "largest difference 0.5; 1 of " in found["note"]


def test_a_score(table: Path) -> None:
    summary = RunFolder(table).summary_json()
    summary["metrics"]["val"]["accuracy"] = 2.0
    write_json(table / "summary.json", summary)
    found = again(table)["difference"]
    assert (found["field"], found["was"]) == ("summary metrics.val.accuracy", 2.0)


@pytest.mark.parametrize("at", [0, 5])
def test_an_interrupted_run_is_compared_as_far_as_it_went(
    at: int, place: Path, tmp_path: Path
) -> None:
    config = configured("table", place)
    run = new_run("optimize", "", tmp_path / "run", config, build(config, read_data(config)), QUIET)
    run.pause_at = at
    train(run)
    run.folder.describe(status="interrupted")
    found = again(tmp_path / "run")
    assert found["identical"], found["differences"]
    assert found["compared"] == f"compared up to step {at}, where the run stopped"
    if at:
        change_metrics(tmp_path / "run", 2, "loss", lambda loss: loss + 1)
        other = rerun(RunFolder(tmp_path / "run"), tmp_path / "third", QUIET)
        assert other["difference"]["field"].startswith("metrics.jsonl line 2")


def test_a_run_that_failed_fails_again(place: Path, tmp_path: Path) -> None:
    plain = KINDS["table"][1](place) | {"optimizer": {"name": "sgd", "lr": 1e30}}
    config = LANGUAGE.of(plain)
    with pytest.raises(FtuneError) as caught:
        run_kind("table", config, tmp_path / "run")
    assert RunFolder(tmp_path / "run").facts()["status"] == "failed"
    assert again(tmp_path / "run")["identical"]
    change_facts(tmp_path / "run", reason="the disk was full")
    other = rerun(RunFolder(tmp_path / "run"), tmp_path / "third", QUIET)
    assert other["difference"]["field"] == "reason"
    assert other["difference"]["is"] in str(caught.value)


def test_an_interrupted_sweep(place: Path, tmp_path: Path) -> None:
    run_kind("sweep", configured("sweep", place), tmp_path / "run")
    RunFolder(tmp_path / "run").describe(status="interrupted")
    found = again(tmp_path / "run")
    assert found["identical"] and "trials that the sweep had finished" in found["compared"]


def test_what_still_runs_is_refused(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftune.runs.folder.alive", lambda *_: True)
    change_facts(table, status="running")
    with pytest.raises(RequestError, match="what has ended can be run again"):
        again(table)


def test_an_older_run_that_notes_less(table: Path) -> None:
    facts = read_json(table / "run.json")
    keys = ("base_sha256", "model_sha256", "code", "determinism", "precision", "cores")
    write_json(table / "run.json", {k: v for k, v in facts.items() if k not in keys})
    assert again(table)["identical"]


def test_causes_stand_in_order() -> None:
    was: dict[str, Any] = {
        "versions": {"python": "3.11", "torch": "2.9", "git": {"commit": "a"}}, "threads": 1,
        "cores": 2, "device": "cpu", "data": "a", "base_sha256": "b",
        "code": [{"file": "/x/a.py", "sha256": "c"}], "seed": 1,
    }  # fmt: skip
    assert causes(was, was) == []
    moved = was | {"cores": 8, "code": [{"file": "/y/a.py", "sha256": "c"}]}
    assert causes(was, moved | {"versions": was["versions"] | {"git": None}}) == []
    other = {
        "versions": {"python": "3.12", "torch": "2.10"}, "threads": 2, "device": "cuda:0",
        "data": "x", "base_sha256": "y", "code": [{"file": "a", "sha256": "z"}], "seed": 2,
    }  # fmt: skip
    found = [one.field.partition(".")[0] for one in causes(was, other)]
    assert found == [
        "versions", "versions", "threads", "device", "seed", "data", "base_sha256", "code",
    ]  # fmt: skip


def test_a_tensor_of_nan_equals_itself() -> None:
    nan = {"a": torch.tensor([float("nan"), 1.0])}
    assert not list(tensors("x", nan, nan))
    assert list(tensors("x", nan, {"a": torch.tensor([0.0, 1.0])}))
