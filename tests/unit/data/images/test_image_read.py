"""Files of every kind become upright 8 bit RGB; the others say why not."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ftune.data.images.read import UnusableError, read, size_of
from ftune.data.transforms.crop import CenterCrop
from ftune.data.transforms.grayscale import Grayscale
from ftune.data.transforms.pad import Pad
from ftune.data.transforms.resize import Resize

Pixels = Callable[..., Any]


def saved(path: Path, image: Image.Image, **settings: Any) -> Path:
    image.save(path, **settings)
    return path


def test_rgb_is_kept_to_the_bit(pixels: Pixels, tmp_path: Path) -> None:
    image = pixels(0, 20, 30)
    for name in ("a.png", "a.bmp", "a.tiff", "a.webp"):
        how = {"lossless": True} if "webp" in name else {}
        path = saved(tmp_path / name, Image.fromarray(image), **how)
        assert (read(path, ()) == image).all(), name
        assert size_of(path) == (20, 30)


def test_other_modes_become_rgb(pixels: Pixels, tmp_path: Path) -> None:
    base = Image.fromarray(pixels(1, 24, 16))
    for mode in ("L", "P", "1", "CMYK", "YCbCr"):
        name = "a.tiff" if mode in ("CMYK", "YCbCr") else "a.png"
        path = saved(tmp_path / name, base.convert(mode))
        found = read(path, ()).astype(int)
        assert found.shape == (24, 16, 3)
        assert np.abs(found - np.asarray(base.convert(mode).convert("RGB"))).max() <= 2, mode


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    found = read(saved(tmp_path / "a.png", Image.fromarray(deep)), ())
    assert (found == np.arange(256, dtype=np.uint8).reshape(16, 16)[:, :, None]).all()


def test_transparent_becomes_white(tmp_path: Path) -> None:
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    clear[:, :2, 3] = 255  # the left half is black, the right half is not there
    found = read(saved(tmp_path / "a.png", Image.fromarray(clear)), ())
    assert (found[:, :2] == 0).all() and (found[:, 2:] == 255).all()
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putdata([0, 1])
    found = read(saved(tmp_path / "b.png", indexed, transparency=1), ())
    assert found.tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(pixels: Pixels, tmp_path: Path, orientation: int) -> None:
    upright = pixels(2, 16, 32)
    lying = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(upright, 3),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(lying)), exif=exif)
    assert (read(path, ()) == upright).all()
    assert size_of(path) == (16, 32)


def test_of_several_frames_the_first_counts(pixels: Pixels, tmp_path: Path) -> None:
    frames = [Image.fromarray(pixels(i)) for i in (3, 4)]
    path = saved(tmp_path / "a.tiff", frames[0], save_all=True, append_images=frames[1:])
    assert (read(path, ()) == pixels(3)).all()


def test_resize_is_torchs_antialias(pixels: Pixels, tmp_path: Path) -> None:
    image = pixels(5, 60, 90)
    path = saved(tmp_path / "a.png", Image.fromarray(image))
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    for interpolation in ("bilinear", "bicubic"):
        found = read(path, [Resize(24, interpolation)])
        assert found.shape == (24, 36, 3)
        wanted = torch.nn.functional.interpolate(x, (24, 36), mode=interpolation, antialias=True)
        wanted = wanted.clamp(0, 255)[0].permute(1, 2, 0)
        assert np.abs(found - wanted.numpy()).max() < 1.2
    plain = torch.nn.functional.interpolate(x, (24, 36), mode="nearest")[0].permute(1, 2, 0).numpy()
    assert np.abs(read(path, [Resize(24)]) - plain).max() > 5
    assert read(path, [Resize([10, 70])]).shape == (10, 70, 3)


def test_shapes(pixels: Pixels, tmp_path: Path) -> None:
    image = pixels(6, 20, 30)
    path = saved(tmp_path / "a.png", Image.fromarray(image))
    assert (read(path, [CenterCrop([10, 11])]) == image[5:15, 9:20]).all()
    large = read(path, [CenterCrop(40)])
    assert (large[10:30, 5:35] == image).all() and large.sum() == image.astype(int).sum()
    square = read(path, [Pad(fill=7)])
    assert (
        (square[5:25] == image).all() and (square[:5] == 7).all() and square.shape[:2] == (30, 30)
    )
    assert read(path, [Pad([25, 10])]).shape == (25, 30, 3)
    grey = read(path, [Grayscale()])
    assert grey.shape == (20, 30, 1)
    assert np.abs(grey[:, :, 0] - image @ [0.299, 0.587, 0.114]).max() <= 1
    assert (read(path, [Grayscale(3)]) == grey).all()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def damaged(pixels: Pixels, name: str, keep: float) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(7, 64, 64)).save(file, name)
    return file.getvalue()[: int(len(file.getvalue()) * keep)]


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_used_says_why(pixels: Pixels, tmp_path: Path) -> None:
    cases = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"hello, world", "not an image"),
        "cut.jpg": (damaged(pixels, "JPEG", 0.6), "truncated"),
        "cut.png": (damaged(pixels, "PNG", 0.6), "truncated"),
        "cut.webp": (damaged(pixels, "WEBP", 0.5), "damaged"),
        "header.jpg": (damaged(pixels, "JPEG", 0.02), "damaged|truncated|not an"),
        "bomb.png": (bomb(100_000, 100_000), "pixels"),
        "half.png": (bomb(10_000, 9_500), "pixels"),
        "missing.png": (None, "no such file"),
        "folder.png": (None, "is a folder"),
    }
    (tmp_path / "folder.png").mkdir()
    for name, (content, reason) in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UnusableError, match=reason):
            read(tmp_path / name, ())


def test_an_image_is_not_enlarged_beyond_the_limit(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.new("RGB", (20_000, 1)))
    for shape in (Resize(100), Pad()):
        with pytest.raises(UnusableError, match="pixels"):
            read(path, [shape])
    assert read(path, ()).shape == (1, 20_000, 3)
