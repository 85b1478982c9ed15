"""Folders of images as rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftune.data.schema import Data
from ftune.data.sources.images import Images
from ftune.errors import MissingExtraError

ReadData = Callable[..., Data]
Folder = Callable[..., Path]


def test_a_folder_a_class(folder: Folder) -> None:
    names = ["b/2.png", "b/10.JPG", "a/deep/er/1.webp", "a/1.jpeg", "c d/ü.TIFF"]
    path = folder(
        dict.fromkeys([*names, "b/.hidden.png", ".git/x.png", "readme.md", "b/Thumbs.db"], b"x")
    )
    (frame,) = Images(str(path)).load().values()
    assert frame.origin == str(path)
    assert frame["image"].tolist() == [
        "a/1.jpeg",
        "a/deep/er/1.webp",
        "b/10.JPG",
        "b/2.png",
        "c d/ü.TIFF",
    ]
    assert frame["label"].tolist() == ["a", "a", "b", "b", "c d"]
    assert frame.rows.tolist() == [1, 2, 3, 4, 5]
    assert frame.kind("image") == frame.kind("label") == "text"


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_parts(folder: Folder, val: str) -> None:
    path = folder(
        dict.fromkeys(["train/a/1.png", "train/b/1.png", f"{val}/a/2.png", "test/b/3.png"], b"x")
    )
    parts = Images(str(path)).load()
    assert {part: frame["image"].tolist() for part, frame in parts.items()} == {
        "train": ["a/1.png", "b/1.png"], "val": ["a/2.png"], "test": ["b/3.png"],
    }  # fmt: skip
    assert parts["val"].origin == str(path / val)


def test_a_class_may_be_called_train(folder: Folder) -> None:
    path = folder(dict.fromkeys(["train/1.png", "plane/1.png"], b"x"))
    assert Images(str(path)).load()["all"]["label"].tolist() == ["plane", "train"]


def test_a_folder_for_each_part(folder: Folder) -> None:
    path = folder(dict.fromkeys(["one/a/1.png", "one/b/1.png", "two/a/2.png"], b"x"))
    parts = Images({"train": str(path / "one"), "val": str(path / "two")}).load()
    assert list(parts) == ["train", "val"] and len(parts["train"]) == 2


def test_what_is_to_be_predicted(folder: Folder, tmp_path: Path) -> None:
    path = folder(dict.fromkeys(["b.png", "a.jpg", "more/c.png"], b"x"))
    source = Images("unused")
    frame = source.read(str(path))
    assert list(frame.columns) == ["image"]
    assert frame["image"].tolist() == ["a.jpg", "b.png", "more/c.png"]
    one = source.read(str(path / "a.jpg"))
    assert one["image"].tolist() == ["a.jpg"] and one.origin == str(path / "a.jpg")
    (tmp_path / "t.csv").write_text("image,label\nset/a.jpg,x\nset/b.png,y\n")
    assert source.read(str(tmp_path / "t.csv"))["image"].tolist() == ["set/a.jpg", "set/b.png"]
    classes = folder(dict.fromkeys(["k/a/1.png", "k/b/1.png"], b"x")) / "k"
    assert source.read(str(classes))["label"].tolist() == ["a", "b"]


def test_the_order_does_not_depend_on_the_disk(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder()
    first: Any = Images(str(path)).load()["all"]["image"]
    real = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(real(self), reverse=True))
    assert np.array_equal(Images(str(path)).load()["all"]["image"], first)


def test_without_pillow_the_extra_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"ftune\[images\]"):
        Images(str(path)).load()
