"""Images as a model gets them in evaluation, against Pillow called by hand."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.differential import Table, agrees, each

from ftune.assembly.build import read_data
from ftune.schema.root import LANGUAGE

PIL = pytest.importorskip("PIL")
IMAGES = 6


def _pictures(rng: np.random.Generator, folder: Path, size: tuple[int, int]) -> list[Any]:
    """Random photographs of coarse blocks in two folders; Pillow's images by file name."""
    from PIL import Image

    images = []
    for index in range(IMAGES):
        coarse = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC)
        file = folder / "ab"[index % 2] / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        image.save(file)
        images.append(image)
    return images


def _ours(folder: Path, transforms: list[Any]) -> Any:
    """[rows, channels, height, width] as evaluation sees them, in the order of the files."""
    config = LANGUAGE.of({
        "task": "classification",
        "data": {"source": "images", "cache": False, "transforms": transforms,
                 "path": {"train": str(folder), "val": str(folder)}},
    })  # fmt: skip
    validation = read_data(config).val
    assert validation is not None
    (rows,) = validation.slices(IMAGES)
    order = validation.rows[rows].argsort()
    return validation.batch(rows)["x"][order].numpy()


def _stacked(images: list[Any]) -> Any:
    """Files in the order of their folders: a's, then b's; from 0 to 1."""
    ordered = images[::2] + images[1::2]
    return np.stack([np.asarray(i, np.float32).transpose(2, 0, 1) / 255 for i in ordered])


def _resize(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    from PIL.Image import Resampling

    name = str(rng.choice(["bilinear", "bicubic", "nearest"]))
    size = [int(v) for v in rng.integers(9, 60, 2)]
    method = Resampling.BOX if broken else Resampling[name.upper()]
    with tempfile.TemporaryDirectory() as place:
        images = _pictures(rng, Path(place), (41, 33))
        ours = _ours(Path(place), [{"resize": {"size": size, "interpolation": name}}])
    return ours, _stacked([image.resize(size[::-1], method) for image in images])


def _short_side(image: Any, size: int) -> Any:
    from PIL.Image import Resampling

    short = min(image.size)
    scaled = tuple(int(size * side / short) for side in image.size)
    return image.resize(scaled, Resampling.BILINEAR)


def _crop(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """The recipe of ImageNet's evaluation: the short side, then the middle."""
    size, out = int(rng.integers(24, 40)), int(rng.integers(12, 24)) // 2 * 2
    with tempfile.TemporaryDirectory() as place:
        images = _pictures(rng, Path(place), (44, 52))
        ours = _ours(Path(place), [{"resize": size}, {"center_crop": out}])
    theirs = []
    for image in (_short_side(image, size) for image in images):
        # rounded down, as transformers does it; torchvision rounds half a pixel to even
        left, top = ((side - out) // 2 + int(broken) for side in image.size)
        theirs.append(image.crop((left, top, left + out, top + out)))
    return ours, _stacked(theirs)


def _normalize(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    """Mean and deviation of each channel over all pixels of the training images."""
    with tempfile.TemporaryDirectory() as place:
        images = _pictures(rng, Path(place), (16, 16))
        ours = _ours(Path(place), ["normalize"])
    pixels = _stacked(images)
    axes = (2, 3) if broken else (0, 2, 3)
    mean, deviation = (
        f(pixels, axis=axes, keepdims=True, dtype=np.float64) for f in (np.mean, np.std)
    )
    return ours, (pixels - mean) / deviation


def _grey(rng: np.random.Generator, broken: bool) -> tuple[Any, Any]:
    with tempfile.TemporaryDirectory() as place:
        images = _pictures(rng, Path(place), (16, 20))
        ours = _ours(Path(place), [{"grayscale": 3}])
    if broken:  # the mean of the channels
        return ours, _stacked(images).mean(1, keepdims=True).repeat(3, 1)
    return ours, _stacked([image.convert("L").convert("RGB") for image in images])


TABLE: Table = {
    "resize": (1e-6, _resize),
    "crop": (1e-6, _crop),
    "normalize": (1e-4, _normalize),
    "grey": (1e-6, _grey),
}


@each(TABLE)
def test_pillow(name: str) -> None:
    agrees(TABLE, name)
