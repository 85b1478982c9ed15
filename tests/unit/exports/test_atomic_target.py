"""An export is there, whole and proved, or not there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.apart import apart, limit_files, only_in_a_child
from torch import Tensor

from ftune.commands.export import export
from ftune.console import Console
from ftune.errors import LockedError, RunFailedError
from ftune.exports import tensors
from ftune.exports.atomic_target import atomic_target, disk_errors
from ftune.exports.export_model import Batch, ExportModel
from ftune.exports.verify import verify
from ftune.runs.base import load_base
from ftune.runs.lock import NAME, Lock

QUIET = Console(quiet=True)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_file_and_a_folder_take_their_place(tmp_path: Path) -> None:
    for _ in range(2):
        with atomic_target(tmp_path / "new" / "m.bin") as path:
            path.write_bytes(b"1")
        with atomic_target(tmp_path / "new" / "m") as path:
            (path / "a").mkdir(parents=True)
            (path / "a" / "b").write_bytes(b"2")
    assert content(tmp_path) == {"new/m.bin": b"1", "new/m/a/b": b"2"}
    with atomic_target(tmp_path / "new" / "m") as path:
        path.mkdir()
        (path / "c").write_bytes(b"3")
    assert content(tmp_path) == {"new/m.bin": b"1", "new/m/c": b"3"}


@pytest.mark.parametrize("fault", [RunFailedError("no"), KeyboardInterrupt(), ValueError()])
def test_what_fails_leaves_what_was_there(fault: BaseException, tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(b"before")
    with pytest.raises(type(fault)), atomic_target(tmp_path / "m.bin") as path:
        path.write_bytes(b"half")
        raise fault
    assert list(tmp_path.iterdir()) == [tmp_path / "m.bin"]
    assert content(tmp_path) == {"m.bin": b"before"}


def test_one_process_at_a_time_writes_a_target(tmp_path: Path) -> None:
    """Else two could mix the files of an export, each right by itself."""
    (tmp_path / ".m.bin.tmp").mkdir()
    (tmp_path / "m.bin").write_bytes(b"before")
    with Lock.take(tmp_path / ".m.bin.tmp"):
        with pytest.raises(LockedError, match=r"m.bin is being written by another process \("), \
                atomic_target(tmp_path / "m.bin"):  # fmt: skip
            raise AssertionError
        with atomic_target(tmp_path / "n.bin") as path:
            path.write_bytes(b"another target")
    assert (tmp_path / "m.bin").read_bytes() == b"before"


def test_what_a_killed_export_left_goes(tmp_path: Path) -> None:
    torn = tmp_path / ".m.bin.tmp"
    (torn / "folder").mkdir(parents=True)
    for name in ("m.bin", "m.bin.data", "folder/x", NAME):
        (torn / name).write_bytes(b"half")
    with atomic_target(tmp_path / "m.bin") as path:
        path.write_bytes(b"1")
    assert content(tmp_path) == {"m.bin": b"1"}


def test_the_other_one_ends_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder goes away between our finding and our locking it."""
    take, calls = Lock.take, []

    def late(folder: Path, shown: Path | None = None) -> Lock:
        calls.append(folder)
        if len(calls) == 1:
            folder.rmdir()
        return take(folder, shown)

    monkeypatch.setattr(Lock, "take", late)
    with atomic_target(tmp_path / "m.bin") as path:
        path.write_bytes(b"1")
    assert len(calls) == 2 and content(tmp_path) == {"m.bin": b"1"}


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunFailedError, match=r"cannot write .*: Not a directory"), \
            atomic_target(tmp_path / "file" / "m.bin"):  # fmt: skip
        raise AssertionError


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"^cannot write m.bin: No space left on device$"), \
            disk_errors(Path("m.bin")):  # fmt: skip
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))


def on_a_small_disk(work: Callable[[], object], words: str) -> None:
    """The kernel refuses to write on; a limit on the size of files stands for the full disk."""

    def limited() -> None:
        limit_files(2_000)
        with pytest.raises(RunFailedError, match=words):
            work()

    apart(limited)


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors", "m.pt2"])
def test_a_really_full_disk(name: str, table: Path, tmp_path: Path) -> None:
    base = load_base(table)
    (tmp_path / name).write_bytes(b"before")
    form = {".pt2": "torch-export"}.get(Path(name).suffix, Path(name).suffix[1:])
    on_a_small_disk(
        lambda: export(base, form, tmp_path / name, QUIET, overwrite=True),
        rf"cannot write .*{name}: File too large \([\d,]+ b",
    )
    assert content(tmp_path) == {name: b"before"}


def test_a_full_disk_under_transformers(texts: Callable[..., Path], tmp_path: Path) -> None:
    base = load_base(texts("lm"))
    on_a_small_disk(
        lambda: export(base, "hf", tmp_path / "hf", QUIET),
        r"cannot write .*hf: .*(File too large|rror)",
    )
    assert list(tmp_path.iterdir()) == []


def spoiled(export_model: ExportModel, path: Path) -> list[str]:
    """Writes a file that is whole, with one weight that is not the model's."""
    own_write(export_model, path)
    stored = torch.load(path, weights_only=True)
    stored["model"]["layer1.weight"] += 0.5
    torch.save(stored, path)
    return []


def torn(export_model: ExportModel, path: Path) -> list[str]:
    own_write(export_model, path)
    path.write_bytes(path.read_bytes()[:-700])
    return []


own_write = tensors.write


@pytest.mark.parametrize(
    ("fault", "words"),
    [(spoiled, "is not kept: read back, its outputs differ .* by up to"), (torn, "m.pt")],
)
def test_a_spoiled_export_is_caught_and_not_kept(
    fault: Callable[[ExportModel, Path], list[str]],
    words: str,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tensors, "write", fault)
    with pytest.raises((RunFailedError), match=words):
        export(load_base(table), "pt", tmp_path / "m.pt", QUIET)
    assert list(tmp_path.iterdir()) == []


READERS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "the same": (lambda y: y, True),
    "within": (lambda y: y + 0.5e-4 * y.abs().max(), True),
    "beyond": (lambda y: y + 2e-4 * y.abs().max(), False),
    "not a number": (lambda y: y.where(y > y.min(), torch.nan), False),
    "another shape": (lambda y: y[:, :-1], False),
}


@pytest.mark.parametrize("kind", READERS)
def test_the_proof(kind: str) -> None:
    change, holds = READERS[kind]
    model = torch.nn.Linear(3, 4)
    batches: list[Batch] = [{"x": torch.randn(2, 3)}]
    with torch.no_grad():
        found = verify(model, lambda batch: change(model(batch["x"])), batches, 1e-4)
    assert found.holds is holds


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)])
def test_an_export_obeys_the_umask(mask: int, file: int, folder: int, tmp_path: Path) -> None:
    """Whatever the library that wrote it made of it: safetensors' files are the owner's alone."""

    def export() -> None:
        only_in_a_child()
        os.umask(mask)
        with atomic_target(tmp_path / "model") as path:
            path.mkdir(mode=0o700)
            (path / "w.safetensors").write_bytes(b"x")
            (path / "w.safetensors").chmod(0o600)

    apart(export)
    assert (tmp_path / "model").stat().st_mode & 0o777 == folder
    assert (tmp_path / "model" / "w.safetensors").stat().st_mode & 0o777 == file
