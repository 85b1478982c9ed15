"""Checkpoints: whole or absent, damage found, and pointers that tell the truth."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.apart import apart, limit_files
from support.storms import in_place, storm, weights

from ftune.errors import CheckpointError, RunFailedError
from ftune.runs import checkpoint, files
from ftune.runs.checkpoint import Checkpoint


def small(step: int = 1) -> Checkpoint:
    model = {"w": torch.arange(6.0).reshape(2, 3) + step, "n": torch.tensor(3)}
    training = {"moment": torch.ones(2), "rng/cpu": torch.get_rng_state()[:40]}
    return Checkpoint(model, {"loop": {"step": step}}, training, {"mean": torch.zeros(3)})


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_round_trip(tmp_path: Path) -> None:
    saved = small(7)
    path = checkpoint.save(tmp_path / "c", saved, 7)
    assert path.name == "step-00000007"
    found = checkpoint.load(path)
    for part in ("model", "training", "pipeline"):
        a, b = getattr(saved, part), getattr(found, part)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)
    assert found.meta == saved.meta


def test_tied_weights_and_views(tmp_path: Path) -> None:
    weight = torch.randn(4, 3)
    model = {"a": weight, "b": weight, "c": weight.t(), "d": weight[1:], "empty": torch.zeros(0)}
    found = checkpoint.load(checkpoint.save(tmp_path, Checkpoint(model, {}), 0))
    assert all(torch.equal(found.model[k], model[k]) for k in model)


def test_every_damaged_place_is_found(tmp_path: Path) -> None:
    """Bit flips and truncations over a sample of positions of every file of a checkpoint."""
    path = checkpoint.save(tmp_path, small(), 1)
    missed = []
    for file in sorted(path.iterdir()):
        whole = file.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            for bit in (0, 3, 5, 7):
                broken = bytearray(whole)
                broken[place] ^= 1 << bit
                missed += _accepted(path, file, bytes(broken), f"{file.name}[{place}]^{bit}")
        for length in {0, 1, len(whole) // 2, len(whole) - 1}:
            missed += _accepted(path, file, whole[:length], f"{file.name}[:{length}]")
        file.write_bytes(whole)
    checkpoint.load(path)
    assert not missed


def _accepted(path: Path, file: Path, content: bytes, what: str) -> list[str]:
    file.write_bytes(content)
    try:
        checkpoint.load(path)
    except CheckpointError:
        return []
    return [what]


def test_control_torch_load_accepts_flipped_bits(tmp_path: Path) -> None:
    file = tmp_path / "plain.pt"
    torch.save({"w": torch.zeros(1000)}, file)
    broken = bytearray(file.read_bytes())
    broken[len(broken) // 2] ^= 1 << 5
    file.write_bytes(bytes(broken))
    assert torch.load(file, weights_only=True)["w"].any(), "the flip was neither found nor harmless"


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "manifest.json"])
def test_missing_file(name: str, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, small(), 1)
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=r"missing|not a checkpoint"):
        checkpoint.load(path)


def test_a_manifest_cannot_leave_a_file_out(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, small(), 1)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["files"]["model.safetensors"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


def test_newer_format(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, small(), 1)
    manifest = json.loads((path / "manifest.json").read_text()) | {"format": 99}
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="newer ftune"):
        checkpoint.load(path)


def test_newest_valid_passes_over_damage(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, small(step), step)
    (tmp_path / "step-00000003" / "model.safetensors").write_bytes(b"")
    found, remarks = checkpoint.newest_valid(tmp_path)
    assert found.meta["loop"]["step"] == 2
    assert len(remarks) == 1 and "step-00000003" in remarks[0]
    for step in (1, 2):
        (tmp_path / f"step-0000000{step}" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        checkpoint.newest_valid(tmp_path)


def test_point_and_prune(tmp_path: Path) -> None:
    for step in range(1, 6):
        target = checkpoint.save(tmp_path, small(step), step)
        checkpoint.point(tmp_path, "latest", target)
        if step == 2:
            checkpoint.point(tmp_path, "best", target, value=0.5)
    (tmp_path / ".step-00000009.123.tmp").mkdir()
    checkpoint.prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.json", "latest.json", "step-00000002", "step-00000004", "step-00000005"
    ]  # fmt: skip
    best = checkpoint.pointed(tmp_path, "best")
    assert best is not None and best.name == "step-00000002"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"checkpoint": "step-9"}', b"\xff\xfe"])
def test_damaged_pointer(content: bytes, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small(), 1)
    (tmp_path / "best.json").write_bytes(content)
    assert checkpoint.pointed(tmp_path, "best") is None
    checkpoint.prune(tmp_path, 1)
    assert checkpoint.newest_valid(tmp_path)[0].meta["loop"]["step"] == 1


def test_pointer_cannot_leave_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "run", tmp_path / "other"
    inside.mkdir()
    outside.mkdir()
    (inside / "best.json").write_text('{"checkpoint": "../other"}')
    assert checkpoint.pointed(inside, "best") is None


def test_same_step_again_replaces(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small(1), 4)
    checkpoint.save(tmp_path, small(2), 4)
    assert checkpoint.newest_valid(tmp_path)[0].meta["loop"]["step"] == 2


def test_write_fails_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills at each of the files in turn: earlier checkpoints stay byte-identical."""
    checkpoint.save(tmp_path, small(1), 1)
    before, sync = bytes_of(tmp_path), os.fsync
    for which in range(5):
        count = 0

        def full(descriptor: int) -> None:
            nonlocal count
            if count == which:  # noqa: B023
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count += 1
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(RunFailedError, match=r"No space left.* needs \d+ bytes, [\d,]+ are"):
            checkpoint.save(tmp_path, small(2), 2)
        assert bytes_of(tmp_path) == before


def test_really_full_disk(tmp_path: Path) -> None:
    """The kernel refuses to write on; a limit on the size of files stands for the full disk."""
    folder = tmp_path / "c"
    checkpoint.save(folder, weights(1), 1)
    before = bytes_of(folder)

    def save_once_more() -> None:
        limit_files(20_000)
        with pytest.raises(RunFailedError, match=r"needs 65,792 bytes|needs [\d,]+ bytes"):
            checkpoint.save(folder, weights(2), 2)

    apart(save_once_more)
    assert bytes_of(folder) == before
    assert checkpoint.newest_valid(folder)[0].meta["step"] == 1


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFailedError, match="cannot save a checkpoint"):
        checkpoint.save(tmp_path / "file", small(), 1)


def test_killed_while_saving(tmp_path: Path) -> None:
    """A short storm of SIGKILLs; `scripts/prove` has the long one."""
    kills, unreadable = storm(tmp_path / "c", kills=10, seed=0)
    assert (kills, unreadable) == (10, 0)
    checkpoint.save(tmp_path / "c", weights(9_999), 9_999)
    checkpoint.prune(tmp_path / "c", 1)
    left = [p.name for p in (tmp_path / "c").iterdir() if p.name.startswith(".")]
    assert left == [], "the next process clears what the killed ones left"


def test_write_atomic_leaves_the_old_content(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "a.json"
    files.write_json(file, {"a": 1})

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="input/output"):
        files.write_json(file, {"a": 2})
    assert files.read_json(file) == {"a": 1}
    shutil.rmtree(tmp_path)


def test_control_saving_in_place_loses_what_was_there(tmp_path: Path) -> None:
    assert in_place(tmp_path, kills=10, seed=0)[1] > 0
