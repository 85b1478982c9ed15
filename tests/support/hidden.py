"""Pickles hidden in a sweep's folder, each of which a look at its files must find."""

from __future__ import annotations

import io
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch


def _saved() -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, file)
    return file.getvalue()


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _in_study(folder: Path) -> None:
    with sqlite3.connect(folder / "study.db") as base:
        base.execute("update studies set study_name = ?", (pickle.dumps({"a": 1}),))
    base.close()


def _objects(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([{}], dtype=object), allow_pickle=True)


def _longer(folder: Path) -> None:
    file = next(folder.rglob("*.safetensors"))
    file.write_bytes(file.read_bytes() + pickle.dumps({"a": 1}))


HIDDEN: dict[str, Callable[[Path], object]] = {
    "torch.save as .pt": _file("x.pt", _saved()),
    "torch.save as .safetensors": _file("x.safetensors", _saved()),
    "a pickle as .json": _file("state.json", pickle.dumps({"a": 1})),
    "a pickle of text as .txt": _file("x.txt", pickle.dumps({"a": "b"}, protocol=0)),
    "a pickle without a suffix": _file("notes", pickle.dumps({"a": 1})),
    "a tag of Python": _file("config.yaml", b"a: !!python/object/apply:os.getcwd []\n"),
    "bytes after the tensors": _longer,
    "a pickle in the study": _in_study,
    "objects of NumPy": _objects,
}
