"""Frozen weights stay where they are: in the base's file, once for a sweep, or once for a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.sweeps import PLAIN
from support.trainings import QUIET, configuration, trace, undisturbed
from typer.testing import CliRunner

from ftune.assembly.build import build, read_data
from ftune.cli import app
from ftune.commands.export import export
from ftune.commands.request import Request
from ftune.commands.resume import resume
from ftune.commands.sweep import sweep
from ftune.console import Console
from ftune.errors import CheckpointError, ReferencedFileError
from ftune.predictor import restore
from ftune.runs import checkpoint
from ftune.runs.adapters import load_bases
from ftune.runs.base import load_base
from ftune.runs.checkpoint import Checkpoint
from ftune.runs.folder import RunFolder
from ftune.runs.frozen import FrozenStorage
from ftune.runs.references import Access
from ftune.training.reopen import reopen
from ftune.training.run import Run, new_run
from ftune.training.train import train

WIDE = PLAIN | {
    "adapt": [],
    "model": {
        "name": "sequential",
        "layers": [
            {"linear": 600, "as": "first"},
            "relu",
            {"linear": 600, "as": "second"},
            "relu",
            {"linear": "out", "as": "last"},
        ],
    },
}
LORA = WIDE | {"adapt": [{"match": "*", "train": False}, {"match": "second", "lora": {"rank": 2}}]}
LIGHT = Access(verify=False)


def finetuning(out: Path, base: str, *changes: str, plain: Mapping[str, Any] = LORA) -> Run:
    config = configuration(f"base={base}", *changes, plain=plain)
    loaded = load_bases(base)
    return new_run("finetune", "", out, config, build(config, read_data(config), loaded), QUIET)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base as one file of tensors."""
    folder = tmp_path_factory.mktemp("base")
    undisturbed(configuration("train.epochs=1", plain=WIDE), folder / "run")
    base = load_base(folder / "run")
    save_file({k: t.contiguous() for k, t in base.tensors.items()}, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.fixture
def base(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(weights, tmp_path / "w.safetensors"))


def frozen_size(out: Path) -> int:
    return sum(f.stat().st_size for f in out.rglob("*.safetensors") if f.parent.name[:4] != "step")


def size(out: Path) -> int:
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file())


def change_last_byte(file: Path) -> None:
    """Another weight, with the file's size, time and header as they were."""
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_run_refers_to_the_file_of_its_base(base: Path, tmp_path: Path) -> None:
    train(finetuning(tmp_path / "run", str(base)))
    record = json.loads((tmp_path / "run/checkpoints/frozen.json").read_text())
    assert [file["path"] for file in record["files"]] == [str(base)]
    assert frozen_size(tmp_path / "run") == 0
    saved = checkpoint.newest_valid(tmp_path / "run/checkpoints")[0]
    held = load_file(base)
    assert {k: t for k, t in saved.frozen.items() if not torch.equal(t, held[k])} == {}
    assert len(saved.frozen) == 6


def test_a_file_of_torch(base: Path, tmp_path: Path) -> None:
    torch.save({"model": load_file(base)}, tmp_path / "w.pt")
    train(finetuning(tmp_path / "run", str(tmp_path / "w.pt")))
    assert frozen_size(tmp_path / "run") == 0
    whole = load_base(tmp_path / "run").tensors
    assert torch.equal(whole["second.weight"], load_file(base)["second.weight"])
    change_last_byte(tmp_path / "w.pt")
    with pytest.raises(ReferencedFileError, match="is another file now"):
        load_base(tmp_path / "run")


def test_the_folder_is_small(base: Path, tmp_path: Path) -> None:
    """At most 2.2 times what moves, and 5 MB; with all weights it is more than the base."""
    train(finetuning(tmp_path / "run", str(base)))
    saved = checkpoint.newest_valid(tmp_path / "run/checkpoints")[0]
    moving = sum(t.numel() * t.element_size() for t in (*saved.model.values(),
                                                        *saved.training.values()))  # fmt: skip
    assert size(tmp_path / "run") <= 2.2 * moving + 5e6
    assert size(tmp_path / "run") < base.stat().st_size / 2
    train(finetuning(tmp_path / "whole", str(base), "output.standalone=true"))
    assert size(tmp_path / "whole") > base.stat().st_size


def test_resumed_to_the_bit(base: Path, tmp_path: Path) -> None:
    train(finetuning(tmp_path / "through", str(base)))
    run = finetuning(tmp_path / "paused", str(base))
    run.pause_at = 6
    train(run)
    train(reopen(RunFolder(tmp_path / "paused"), QUIET))
    train(finetuning(tmp_path / "whole", str(base), "output.standalone=true"))
    assert trace(tmp_path / "paused") == trace(tmp_path / "through")
    a, b = (load_base(tmp_path / name).tensors for name in ("paused", "whole"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_used_like_one_that_holds_everything(base: Path, tmp_path: Path) -> None:
    """Predictions, an export and a finetuning of it; the second run refers to the same file."""
    for name, more in {"run": [], "whole": ["output.standalone=true"]}.items():
        train(finetuning(tmp_path / name, str(base), *more))
        export(load_base(tmp_path / name), "safetensors", tmp_path / f"{name}.safetensors", QUIET)
    names = restore(load_base(tmp_path / "run")).pipeline.features.names
    assert names is not None
    rows = [dict(zip(names, (5.0, 3.0, 4.0, 1.0), strict=True))]
    said = [restore(load_base(tmp_path / n)).predict(rows) for n in ("run", "whole")]
    assert str(said[0]) == str(said[1])
    exported = [load_file(tmp_path / f"{n}.safetensors") for n in ("run", "whole")]
    assert all(torch.equal(tensor, exported[1][key]) for key, tensor in exported[0].items())
    train(finetuning(tmp_path / "second", str(tmp_path / "run"), plain=WIDE | {"adapt": []}))
    record = json.loads((tmp_path / "second/checkpoints/frozen.json").read_text())
    assert record["files"][0]["path"] == str(base)


def test_a_changed_byte_is_refused(base: Path, tmp_path: Path) -> None:
    run = finetuning(tmp_path / "run", str(base))
    run.pause_at = 4
    train(run)
    load_base(tmp_path / "run")
    load_base(tmp_path / "run", LIGHT)
    change_last_byte(base)
    load_base(tmp_path / "run", LIGHT)  # size, time and header are the same
    for opening in (
        lambda: load_base(tmp_path / "run"),
        lambda: reopen(RunFolder(tmp_path / "run"), QUIET),
        lambda: load_bases(str(tmp_path / "run")),
    ):
        with pytest.raises(ReferencedFileError, match="is another file now") as error:
            opening()
        assert "--base NEW" in str(error.value) and error.value.exit_code == 2
    os.utime(base)
    with pytest.raises(ReferencedFileError):
        load_base(tmp_path / "run", LIGHT)


def test_another_time_alone_is_no_other_file(base: Path, tmp_path: Path) -> None:
    train(finetuning(tmp_path / "run", str(base)))
    os.utime(base, (1, 1))
    load_base(tmp_path / "run", LIGHT)


def test_a_file_that_has_moved(base: Path, tmp_path: Path) -> None:
    run = finetuning(tmp_path / "run", str(base))
    run.pause_at = 4
    train(run)
    (tmp_path / "new").mkdir()
    moved = base.rename(tmp_path / "new/other-name.safetensors")
    with pytest.raises(ReferencedFileError, match=r"is not there.*--base NEW"):
        load_base(tmp_path / "run", LIGHT)
    assert load_base(tmp_path / "run", Access(base=moved)).tensors
    with pytest.raises(ReferencedFileError, match="is another file now"):
        load_base(tmp_path / "run", Access(base=tmp_path / "run/config.yaml"))
    with pytest.raises(
        ReferencedFileError, match=r"new: holds no w.safetensors with these weights"
    ):
        load_base(tmp_path / "run", Access(base=tmp_path / "new"))
    moved = moved.rename(tmp_path / "new/w.safetensors")
    summary = resume(RunFolder(tmp_path / "run"), False, QUIET, base=tmp_path / "new")
    assert summary["status"] == "done"
    load_base(tmp_path / "run", LIGHT)
    change_last_byte(moved)
    with pytest.raises(ReferencedFileError, match=r"new/w.safetensors: is another file now"):
        load_base(tmp_path / "run")


def test_damaged_notes_of_a_place_are_no_damage_of_the_run(base: Path, tmp_path: Path) -> None:
    train(finetuning(tmp_path / "run", str(base)))
    places = tmp_path / "run/checkpoints/places.json"
    places.write_text("xx")
    load_base(tmp_path / "run")
    base.rename(tmp_path / "moved.safetensors")
    with pytest.raises(ReferencedFileError, match=r"is not there.*--base NEW"):
        load_base(tmp_path / "run")


def test_a_base_that_a_run_does_not_refer_to_is_said(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with its own weights takes none from a base, whatever `--base` names."""
    undisturbed(configuration("train.epochs=1", plain=WIDE), tmp_path / "own")
    train(finetuning(tmp_path / "run", str(base)))
    for name, words in (("own", "all its own: --base is unused"), ("run", "from now on")):
        resume(RunFolder(tmp_path / name), False, Console(), base=base)
        assert words in " ".join(capsys.readouterr().out.split()), name


def test_trials_of_a_sweep_share(base: Path, tmp_path: Path) -> None:
    """Of a base in a file they refer to it; else the first writes what the others refer to."""
    rates = {"sweep": {"scientific": {"optimizer.lr": [0.001, 0.01, 0.1]}}}
    config = configuration(f"base={base}", plain=LORA | rates)
    sweep(Request(config, "", tmp_path / "s", QUIET, load_bases(str(base))))
    assert frozen_size(tmp_path / "s") == 0
    sweep(Request(configuration(plain=LORA | rates), "", tmp_path / "fresh", QUIET))
    assert len(list((tmp_path / "fresh").glob("frozen-*.safetensors"))) == 1
    assert frozen_size(tmp_path / "fresh") < 1.1 * base.stat().st_size
    trials = sorted((tmp_path / "fresh/trials").iterdir())
    assert len(trials) == 3
    for trial in trials:
        assert "second.weight" in load_base(trial).tensors
    (tmp_path / "fresh").rename(tmp_path / "elsewhere")
    load_base(tmp_path / "elsewhere/trials" / trials[0].name)


def test_a_trial_goes_on_elsewhere(tmp_path: Path) -> None:
    """What all trials share is not in the new folder: it is referred to from there."""
    rates = {"sweep": {"scientific": {"optimizer.lr": [0.001, 0.01]}}}
    sweep(Request(configuration(plain=LORA | rates), "", tmp_path / "s", QUIET))
    trial = RunFolder(sorted((tmp_path / "s/trials").iterdir())[0])
    longer = tmp_path / "far/from/there/longer"
    resume(trial, False, QUIET, ["train.epochs=5"], longer)
    assert "second.weight" in load_base(longer).tensors


def test_the_checkpoint_of_a_base_is_never_rotated_away(tmp_path: Path) -> None:
    undisturbed(configuration("train.epochs=1", plain=WIDE), tmp_path / "base")
    train(finetuning(tmp_path / "run", str(tmp_path / "base")))
    record = json.loads((tmp_path / "run/checkpoints/frozen.json").read_text())
    step = Path(record["files"][0]["path"]).parent
    folder = tmp_path / "base/checkpoints"
    assert step.parent == folder
    later = checkpoint.save(folder, Checkpoint({"w": torch.ones(2)}, {}), 9_999)
    checkpoint.save(folder, Checkpoint({"w": torch.ones(2)}, {}), 9_998)
    for name in ("best", "latest"):
        checkpoint.point(folder, name, later)
    checkpoint.prune(folder, 1)
    assert step.is_dir() and later.is_dir()
    assert not (folder / "step-00009998").exists()
    load_base(tmp_path / "run")


def test_what_is_in_no_file_is_stored_once(tmp_path: Path) -> None:
    weight = torch.randn(300, 300)
    frozen = {"a": weight, "tied": weight, "b": torch.ones(3), "i": torch.arange(4)}
    for step in (1, 2):
        checkpoint.save(tmp_path, Checkpoint({}, {}, frozen=frozen), step)
    file = tmp_path / "frozen.safetensors"
    assert file.stat().st_size < 1.1 * weight.nbytes
    read = checkpoint.load(tmp_path / "step-00000002").frozen
    assert all(torch.equal(read[name], tensor) for name, tensor in frozen.items())
    change_last_byte(file)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "step-00000002")
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        checkpoint.load(tmp_path / "step-00000002")


def test_a_smaller_dtype_is_the_same_bits(tmp_path: Path) -> None:
    """A file in bfloat16 holds the float32 tensors that were read from it, and no others."""
    small = {"w": torch.randn(8, 8).bfloat16()}
    save_file(small, tmp_path / "w.safetensors")
    storage = FrozenStorage((tmp_path / "w.safetensors",))
    checkpoint.save(
        tmp_path / "c", Checkpoint({}, {}, frozen={"w": small["w"].float()}), 1, storage
    )
    assert not (tmp_path / "c/frozen.safetensors").exists()
    read = checkpoint.load(tmp_path / "c/step-00000001").frozen["w"]
    assert read.dtype == torch.float32 and torch.equal(read, small["w"].float())
    other = {"w": small["w"].float() + 1e-3}
    checkpoint.save(tmp_path / "d", Checkpoint({}, {}, frozen=other), 1, storage)
    assert (tmp_path / "d/frozen.safetensors").exists()


def test_a_damaged_record(base: Path, tmp_path: Path) -> None:
    train(finetuning(tmp_path / "run", str(base)))
    record = tmp_path / "run/checkpoints/frozen.json"
    record.write_text(record.read_text().replace("second", "first"))
    with pytest.raises(CheckpointError, match=r"frozen\.json: damaged"):
        load_base(tmp_path / "run")


def answer(*words: str | Path) -> tuple[int, str]:
    """Exit code and everything that a command says."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def commands(base: Path, tmp_path: Path) -> dict[str, list[str | Path]]:
    """Every command that opens a run that was paused in the middle; `resume` ends it."""
    run = finetuning(tmp_path / "run", str(base))
    run.pause_at = 4
    train(run)
    table = tmp_path / "rows.csv"
    names = restore(load_base(tmp_path / "run")).pipeline.features.names
    assert names is not None
    table.write_text(f"{','.join(names)}\n5.0,3.0,4.0,1.0\n")
    return {
        "predict": ["predict", tmp_path / "run", "--input", table, "--output", tmp_path / "p.csv"],
        "evaluate": ["evaluate", tmp_path / "run"],
        "export": ["export", tmp_path / "run", "--format", "pt", "--out", tmp_path / "m.pt"],
        "resume": ["resume", tmp_path / "run"],
    }


def test_verify_hashes_the_whole_file(
    commands: dict[str, list[str | Path]], base: Path
) -> None:  # fmt: skip
    for name in ("predict", "evaluate"):
        assert answer(*commands[name], "--verify")[0] == 0
    change_last_byte(base)
    for name in ("predict", "evaluate"):
        assert answer(*commands[name])[0] == 0
        code, text = answer(*commands[name], "--verify")
        assert code == 2 and "--base NEW" in text, text
    for name in ("export", "resume"):
        code, text = answer(*commands[name])
        assert code == 2 and "is another file now" in " ".join(text.split()), text


def test_every_command_takes_the_new_place(
    commands: dict[str, list[str | Path]], base: Path, tmp_path: Path
) -> None:
    moved = base.rename(tmp_path / "moved.safetensors")
    for words in commands.values():
        code, text = answer(*words)
        assert code == 2 and "is not there" in " ".join(text.split()), text
        assert answer(*words, "--base", moved)[0] == 0
    assert answer(*commands["predict"])[0] == 0  # `resume` noted it


def test_a_model_of_hugging_face(tmp_path: Path) -> None:
    """A LoRA on its folder stores none of its weights, and is resumed without loading them anew."""
    pytest.importorskip("transformers")
    from support.tiny_hf import SENTENCES, save_models

    folder = save_models(tmp_path)["llama"]
    (tmp_path / "words.txt").write_text("\n\n".join(SENTENCES * 8))
    plain = {
        "task": "causal-lm",
        "data": {"source": "text", "path": str(tmp_path / "words.txt"), "split": {"val": 0.3},
                 "transforms": [{"tokenize": {"max_length": 16}}]},
        "model": {"name": "hf", "path": str(folder)},
        "adapt": [{"match": "*.q_proj", "lora": {"rank": 2}}],
        "train": {"steps": 4, "batch_size": 4, "checkpoint_every": {"steps": 1}},
        "runtime": {"threads": 1, "device": "cpu"},
    }  # fmt: skip
    config = configuration(plain=plain)
    run = new_run("finetune", "", tmp_path / "run", config, build(config, read_data(config)), QUIET)
    run.pause_at = 2
    train(run)
    record = json.loads((tmp_path / "run/checkpoints/frozen.json").read_text())
    assert [Path(file["path"]) for file in record["files"]] == [folder / "model.safetensors"]
    assert frozen_size(tmp_path / "run") == 0
    assert (
        record["tensors"]["lm.lm_head.weight"] == record["tensors"]["lm.model.embed_tokens.weight"]
    )
    assert train(reopen(RunFolder(tmp_path / "run"), QUIET))["status"] == "done"
    assert restore(load_base(tmp_path / "run", LIGHT)).generate(["the cat"])
