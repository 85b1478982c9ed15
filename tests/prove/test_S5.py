"""S5: what ftune writes into its run folders is tensors, JSON, YAML, text, pictures, a study."""

from __future__ import annotations

import io
import pickle
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.ledger import Ledger
from support.plain_files import faults
from support.run_kinds import every_kind
from support.sandbox import Sandbox, prepare


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        sandbox: Sandbox = prepare(tmp_path_factory.mktemp("box") / "s", patch)
        yield every_kind(sandbox, sandbox.place / "kinds")


def saved() -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, file)
    return file.getvalue()


def planted(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def in_study(folder: Path) -> None:
    with sqlite3.connect(folder / "study.db") as base:
        base.execute("update studies set study_name = ?", (pickle.dumps({"a": 1}),))
    base.close()


def objects(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([{}], dtype=object), allow_pickle=True)


CONTROLS: dict[str, Callable[[Path], object]] = {
    "torch.save as .pt": planted("x.pt", saved()),
    "torch.save as .safetensors": planted("x.safetensors", saved()),
    "a pickle as .json": planted("state.json", pickle.dumps({"a": 1})),
    "a pickle of text as .txt": planted("x.txt", pickle.dumps({"a": "b"}, protocol=0)),
    "a pickle without a name": planted("notes", pickle.dumps({"a": 1})),
    "a tag of Python": planted("config.yaml", b"a: !!python/object/apply:os.getcwd []\n"),
    "bytes after the tensors": lambda folder: _longer(next(folder.rglob("*.safetensors"))),
    "a pickle in the study": in_study,
    "objects of NumPy": objects,
}


def _longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + pickle.dumps({"a": 1}))


def test_run_folders(runs: dict[str, Path], ledger: Ledger) -> None:
    files = sum(len([f for f in run.rglob("*") if f.is_file()]) for run in runs.values())
    found = [f"{name}: {why}" for name, run in runs.items() for why in faults(run)]
    ledger.counted("S5", files, len(found), f"files of {len(runs)} runs" + "; ".join(["", *found]))


@pytest.mark.parametrize("kind", CONTROLS)
def test_controls(kind: str, runs: dict[str, Path], tmp_path: Path, ledger: Ledger) -> None:
    copy = tmp_path / "sweep"
    shutil.copytree(runs["sweep"], copy)
    CONTROLS[kind](copy)
    ledger.control("S5", bool(faults(copy)), kind)
