"""The real command line, from an empty folder: what users and scripts rely on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.commands import CONFIG, FTUNE, environment, ftune, interrupted

SUMMARY = {
    "command", "status", "run", "steps", "epochs", "seconds", "train_seconds",
    "peak_memory_bytes", "parameters", "metrics", "best", "checkpoint",
}  # fmt: skip
CHECKPOINT = {"manifest.json", "model.safetensors", "pipeline.safetensors", "state.json",
              "training.safetensors"}  # fmt: skip


def summary(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    (line,) = run.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a configuration and one finished run, `first`."""
    folder = tmp_path_factory.mktemp("place")
    rows = [f"{i % 7},{i % 5},{'xyz'[i % 3]},{'yes' if i % 7 > 3 else 'no'}" for i in range(200)]
    (folder / "t.csv").write_text("\n".join(["a,b,c,label", *rows]) + "\n", encoding="utf-8")
    (folder / "ftune.yaml").write_text(CONFIG, encoding="utf-8")
    run = ftune(folder, "optimize", "--out", "first", "--json")
    (folder / "said.json").write_text(run.stdout, encoding="utf-8")
    assert "metric" in run.stderr
    return folder


def test_without_a_file_there_is_one_clear_sentence(tmp_path: Path) -> None:
    for command in ("check", "optimize", "lr-find", "sweep"):
        run = ftune(tmp_path, command, code=2)
        expected = "error: no CONFIG given and no ftune.yaml here; `ftune init` writes one\n"
        assert (run.stdout, run.stderr) == ("", expected)
    assert "--base" in ftune(tmp_path, "finetune", code=2).stderr
    assert not list(tmp_path.iterdir())


def test_init_then_check(tmp_path: Path) -> None:
    assert "digits" in ftune(tmp_path, "init").stdout
    ftune(tmp_path, "init", "digits")
    assert "exists already" in ftune(tmp_path, "init", "digits", code=2).stderr
    assert "did you mean `digits`?" in ftune(tmp_path, "init", "digit", code=2).stderr
    said = ftune(tmp_path, "check").stdout
    assert said.startswith("ftune.yaml: valid\n")
    assert all(len(line) <= 80 for line in said.splitlines())


def test_the_summary_and_the_files_of_a_run(place: Path) -> None:
    (line,) = (place / "said.json").read_text(encoding="utf-8").splitlines()
    said = json.loads(line)
    assert set(said) >= SUMMARY
    assert said["status"] == "done"
    assert said["command"] == "optimize"
    assert set(said["metrics"]) == {"train", "val", "test"}
    assert set(said["metrics"]["test"]) >= {"accuracy", "loss", "macro_f1"}
    assert set(said["parameters"]) == {"total", "trainable"}
    assert set(said["best"]) == {"step", "metric", "value"}
    assert said == json.loads((place / "first" / "summary.json").read_text(encoding="utf-8"))
    found = files(place / "first")
    steps = {Path(f).parts[1] for f in found if "step-" in f}
    assert Path(said["checkpoint"]).name in steps
    assert found == {
        *("config.yaml", "run.json", "profile.json", "metrics.jsonl", "summary.json"),
        *("checkpoints/best.json", "checkpoints/latest.json"),
        *(f"checkpoints/{step}/{name}" for step in steps for name in CHECKPOINT),
    }
    facts = json.loads((place / "first" / "run.json").read_text(encoding="utf-8"))
    assert {"command", "status", "versions", "seed", "data", "base", "device", "threads"} <= set(
        facts
    )
    lines = (place / "first" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert all({"step", "epoch", "split", "loss", "time"} <= set(json.loads(x)) for x in lines)


def test_the_config_of_a_run_reproduces_it(place: Path) -> None:
    again = summary(ftune(place, "optimize", "first/config.yaml", "--out", "again", "--json"))
    first = json.loads((place / "said.json").read_text(encoding="utf-8"))
    assert again["metrics"] == first["metrics"]
    assert Path(place, again["checkpoint"], "model.safetensors").read_bytes() == Path(
        place, first["checkpoint"], "model.safetensors").read_bytes()  # fmt: skip
    changed = summary(ftune(place, "optimize", "first/config.yaml", "seed=1", "--json"))
    assert changed["metrics"] != first["metrics"]
    assert Path(changed["run"]).parent.name == "runs"


def test_evaluate_predict_export_finetune(place: Path) -> None:
    first = json.loads((place / "said.json").read_text(encoding="utf-8"))
    test = summary(ftune(place, "evaluate", "first", "--json"))
    assert test["metrics"]["test"] == first["metrics"]["test"]
    val = summary(ftune(place, "evaluate", "first", "--split", "val", "--json"))
    assert val["metrics"]["val"]["accuracy"] == first["best"]["value"]
    ftune(place, "predict", "first", "--input", "t.csv", "--output", "p.csv")
    assert len((place / "p.csv").read_text(encoding="utf-8").splitlines()) == 201
    ftune(place, "export", "first", "--format", "pt", "--out", "base.pt")
    words = ["finetune", "--base", "base.pt", "data.path=t.csv", "train.epochs=1", "--json"]
    tuned = summary(ftune(place, *words))
    assert tuned["command"] == "finetune"
    assert tuned["status"] == "done"
    listed = ftune(place, "runs", ".").stdout
    assert "first" in listed
    said = ftune(place, "compare", "first", tuned["run"]).stdout
    assert "train.epochs" in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_refusals_come_without_traceback_and_leave_nothing(place: Path) -> None:
    before = files(place)
    assert "exists already" in ftune(place, "optimize", "--out", "first", code=2).stderr
    assert "no such file" in ftune(place, "optimize", "none.yaml", code=2).stderr
    assert "none.csv" in ftune(place, "optimize", "data.path=none.csv", code=2).stderr
    assert (
        "accepted: "
        in ftune(place, "export", "first", "--format", "pdf", "--out", "x", code=2).stderr
    )
    answer = ftune(place, "evaluate", "first", "--split", "all", code=2).stderr
    assert "no split `all`; --split takes: train, val, test" in answer
    assert "not a run folder" in ftune(place, "resume", ".", code=2).stderr
    assert ftune(place, "optimise", code=2).stderr
    assert ftune(place, "optimize", "--ouch", code=2).stderr
    assert files(place) == before
    run = ftune(place, "check", "train.epoch=1", code=1, FTUNE_TRACEBACK="1")
    assert "Traceback" in run.stderr
    assert "ConfigError" in run.stderr


def test_quiet_says_nothing_and_a_diverged_run_ends_with_1(place: Path) -> None:
    run = ftune(place, "optimize", "--quiet", "train.steps=1")
    assert (run.stdout, run.stderr) == ("", "")
    words = ["optimize", "--out", "diverged", "optimizer.name=sgd", "optimizer.lr=1e30"]
    said = ftune(place, *words, code=1).stderr
    assert said.startswith("error: ")
    assert json.loads((place / "diverged" / "summary.json").read_text())["status"] == "failed"


LONG = ["train.steps=20000", "train.log_every=100", "eval.every.steps=500", "schedule=constant"]


def test_interrupted_then_resumed_is_as_if_nothing_had_happened(place: Path) -> None:
    def trained(run: str) -> Callable[[], bool]:
        metrics = place / run / "metrics.jsonl"
        return lambda: metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 4

    steps = ["train.steps=2000", *LONG[1:]]
    straight = summary(ftune(place, "optimize", *steps, "--out", "straight", "--json"))
    said = interrupted(place, ["optimize", *steps, "--out", "broken"], trained("broken"))
    assert "ftune resume broken" in said
    assert json.loads((place / "broken" / "summary.json").read_text())["status"] == "interrupted"
    resumed = summary(ftune(place, "resume", "broken", "--json"))
    assert resumed["steps"] == straight["steps"] == 2000
    assert resumed["metrics"] == straight["metrics"]
    assert resumed["best"] == straight["best"]


def test_a_second_run_beside_the_first_disturbs_nothing(place: Path) -> None:
    words = [*FTUNE, "optimize", "train.steps=40", "--json"]
    both = [
        subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    found = [json.loads(process.communicate()[0]) for process in both]
    assert found[0]["run"] != found[1]["run"]
    assert found[0]["metrics"] == found[1]["metrics"]


def test_a_sweep_interrupted_and_resumed_repeats_no_finished_trial(place: Path) -> None:
    space = "sweep={scientific: {model.depth: [1, 2]}, nuisance: {optimizer.lr: [1e-3, 1e-2]}}"
    words = ["sweep", space, *LONG, "train.steps=1500", "--out", "swept"]
    done = place / "swept" / "trials" / "0000" / "summary.json"
    following = place / "swept" / "trials" / "0001" / "metrics.jsonl"

    def ready() -> bool:
        return done.exists() and following.exists()

    interrupted(place, words, ready)
    kept = {f: (done.parent / f).stat().st_mtime_ns for f in files(done.parent)}
    assert json.loads(done.read_text(encoding="utf-8"))["status"] == "done"
    found = summary(ftune(place, "resume", "swept", "--json"))
    assert [t["status"] for t in found["trials"]] == ["done"] * 4
    assert {json.dumps(t["params"]) for t in found["trials"]} == {
        json.dumps({"model.depth": d, "optimizer.lr": lr}) for d in (1, 2) for lr in (1e-3, 1e-2)
    }
    assert {f: (done.parent / f).stat().st_mtime_ns for f in files(done.parent)} == kept
    ftune(place, "optimize", "swept/best.yaml", "train.steps=5")


def test_every_command_has_help_within_80_columns(tmp_path: Path) -> None:
    said = ftune(tmp_path, "--help").stdout
    assert all(len(line) <= 80 for line in said.splitlines())
    for command in ("init", "check", "optimize", "finetune", "lr-find", "sweep", "resume",
                    "evaluate", "predict", "export", "runs", "compare", "schema"):  # fmt: skip
        assert f"  {command} " in said
    schema = json.loads(ftune(tmp_path, "schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "Optimizer steps" in ftune(tmp_path, "schema", "train.steps").stdout
