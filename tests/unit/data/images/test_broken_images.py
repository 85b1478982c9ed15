"""Broken sets of images are answered by one sentence: file, reason, count, first five, remedy."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile

from ftune.data.prepare import prepare
from ftune.data.schema import Data
from ftune.errors import ConfigError, DataError

ReadData = Callable[..., Data]
Picture = Callable[..., bytes]
Folder = Callable[..., Path]
Files = dict[str, bytes]


def bomb() -> bytes:
    """A PNG of 60 bytes that claims 60,000 × 50,000 pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 50_000, 8, 2, 0, 0, 0)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def without(*starts: str) -> Callable[[Files], Files]:
    return lambda good: {name: c for name, c in good.items() if not name.startswith(starts)}


def added(**files: Any) -> Callable[[Files], Files]:
    return lambda good: good | {n.replace("__", "/").replace("_", "."): c for n, c in files.items()}


def table(*lines: str) -> Callable[[Files], Files]:
    return lambda good: good | {"t.csv": "\n".join(["path,y", *lines]).encode()}


GOOD_LINES = [f"{label}/{i}.png,{label}" for label in "ab" for i in range(10)]
OF_TABLE = {"source": "csv", "path": "t.csv", "image": "path", "target": "y"}
CUT = object()
SMALLER = object()

CASES: dict[str, tuple[Callable[[Files], Files], dict[str, Any], list[str]]] = {
    "no such folder": (lambda good: good, {"path": "sett"}, ["sett: no such folder"]),
    "a similar folder": (lambda good: good, {"path": "../ste"}, ["did you mean `set`"]),
    "a file for a folder": (added(c_txt=b"x"), {"path": "c.txt"}, ["is a file", "`image: column`"]),
    "empty folder": (lambda good: {"x/.keep": b""}, {}, ["no images", "<class>/*"]),  # noqa: ARG005
    "folders without images": (
        lambda good: {"a/.keep": b"", "b/.keep": b""}, {}, ["no images", ".jpg"]),  # noqa: ARG005
    "empty class": (lambda good: good | {"c/.keep": b""}, {},
        ["class folder `c`", "fill or delete"]),
    "no classes": (
        lambda good: {Path(name).name: c for name, c in good.items()}, {},
        ["10 images (0.png, 1.png", "but no folders of classes", "image: column"]),
    "images beside classes": (added(z_png=b"x"), {}, ["1 images (z.png) beside the folders"]),
    "one class": (without("b/"), {}, ["only one class, `a`"]),
    "parts without train": (
        lambda good: {f"val/{n}": c for n, c in good.items()}, {}, ["val but no `train`"]),
    "a part twice": (
        lambda good: {f"{p}/{n}": c for p in ("train", "val", "valid") for n, c in good.items()},
        {}, ["`val` and `valid` are the same part"]),
    "no image among them": (
        added(a__notes_txt=b"x"), {}, ["1 file among the images", "a/notes.txt"]),
    "many that are none": (
        lambda good: good | {f"a/{i}.xml": b"x" for i in range(7)}, {},
        ["7 files among the images", "a/0.xml", "a/4.xml, …"]),
    "zero bytes": (added(a__3_png=b""), {}, ["1 of 20 images", "a/3.png: the file is empty"]),
    "text called jpg": (added(a__x_jpg=b"hello"), {}, ["1 of 21", "a/x.jpg: not an image"]),
    "truncated": (added(b__x_jpg=CUT), {}, ["1 of 21", "b/x.jpg: truncated", "delete or replace"]),
    "several bad ones": (
        lambda good: good | {f"{c}/{i}.png": b"" for c in "ab" for i in range(4)}, {},
        ["8 of 20 images cannot be used", "a/0.png: the file is empty", "b/0.png", "empty; …"]),
    "a folder called png": (added(a__9_png__x_txt=b"x"), {}, ["a/9.png: is a folder"]),
    "too many pixels": (added(a__x_png=bomb()), {}, ["a/x.png: more than the 89,478,485 pixels"]),
    "several sizes": (
        added(b__x_png=SMALLER), {"transforms": ["normalize"]},
        ["2 sizes", "b/x.png 20 × 30", "32 × 32", "`resize: 256`", "center_crop"]),
    "several sizes after resize": (
        added(b__x_png=SMALLER), {"transforms": [{"resize": 16}, "flip"]}, ["2 sizes", "16 × 24"]),
    "colours of several sizes": (
        added(b__x_png=SMALLER), {"transforms": ["randaugment", {"random_crop": 16}]},
        ["several sizes where their colours are changed", "crop before"]),
    "transforms of tables": (
        lambda good: good, {"transforms": ["one_hot"]},
        ["`one_hot` is not for images", "random_crop"]),
    "an order that cannot be": (
        lambda good: good, {"transforms": ["flip", {"resize": 8}]},
        ["`resize` cannot stand after"]),
    "channels": (
        lambda good: good, {"transforms": ["grayscale", {"normalize": "imagenet"}]},
        ["normalize has 3 channels, the images 1", "channels: 3"]),
    "another column": (
        lambda good: good, {"transforms": [{"resize": {"size": 8, "columns": ["x"]}}]},
        ["leaves out the image column `image`"]),
    "classes transformed": (
        lambda good: good, {"target_transforms": ["standardize"]}, ["only numbers"]),
    "table: no such column": (
        table(*GOOD_LINES), {**OF_TABLE, "image": "paht"},
        ["no column `paht`", "did you mean `path`"]),
    "table: missing files": (
        table(*GOOD_LINES, "a/77.png,a", "b/78.png,b"), OF_TABLE,
        ["2 of 22 images", "row 21, a/77.png: no such file", "row 22"]),
    "table: empty paths": (
        table(*GOOD_LINES, ",a", ",b"), OF_TABLE, ["`path` has no path in 2 rows (21, 22)"]),
    "table: numbers for paths": (
        table(*(f"{i},{'ab'[i % 2]}" for i in range(9))), OF_TABLE,
        ["`path` holds numbers, not paths"]),
    "table: a folder for a path": (table(*GOOD_LINES, "a,a"), OF_TABLE, ["row 21, a: is a folder"]),
    "limit of channels": (
        lambda good: good, {"transforms": [{"normalize": {"mean": [0.5, 0.5], "std": [1, 1]}}]},
        ["normalize has 2 channels, the images 3"]),
}  # fmt: skip


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_broken(
    case: str, cache: bool, read_data: ReadData, folder: Folder, picture: Picture, tmp_path: Path
) -> None:
    change, settings, expected = CASES[case]
    special = {id(CUT): picture(1, 64, 64, "JPEG")[:-300], id(SMALLER): picture(1, 30, 20)}
    good = {f"{label}/{i}.png": picture(i) for label in "ab" for i in range(10)}
    files = {name: special.get(id(content), content) for name, content in change(good).items()}
    if "a/9.png/x.txt" in files:
        del files["a/9.png"]
    place = folder(files)
    settings = {"source": "images", "split": {"val": 0, "test": 0}, **settings}
    settings["path"] = str(place / settings.get("path", ""))
    with pytest.raises((ConfigError, DataError)) as caught:
        data = read_data(**settings, cache=str(tmp_path / "kept") if cache else False)
        prepare(data, "classes", 0)
    message = str(caught.value)
    assert [text for text in expected if text not in message] == [], message
    assert isinstance(caught.value, ConfigError) or "\n" not in message
    assert len(message) < 500, message
    assert not list(tmp_path.glob("kept/images/*.tmp"))


def test_the_good_one_is_good(read_data: ReadData, folder: Folder) -> None:
    place = folder()
    (place / "t.csv").write_text("\n".join(["path,y", *GOOD_LINES]))
    for settings in (
        {"source": "images", "path": str(place)},
        {**OF_TABLE, "path": str(place / "t.csv")},
    ):
        data = read_data(**settings, cache=False, split={"val": 0, "test": 0})
        assert len(prepare(data, "classes", 0).train) == 20


def test_a_bad_file_is_found_in_the_headers_too(
    read_data: ReadData, folder: Folder, picture: Picture
) -> None:
    """`auto` looks at sizes before anything is decoded."""
    place = folder(
        {f"{label}/{i}.png": picture(i) for label in "ab" for i in range(5)} | {"a/x.png": b"x"}
    )
    data = read_data(source="images", path=str(place), cache=False, split={"val": 0, "test": 0})
    with pytest.raises(DataError, match=r"1 of 11 images cannot be used \(a/x.png: not an image"):
        prepare(data, "classes", 0)


def test_pillow_is_not_asked_to_guess() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES and Image.MAX_IMAGE_PIXELS is not None
