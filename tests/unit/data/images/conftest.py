"""Small folders of images, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Pixels = Callable[..., Any]
Picture = Callable[..., bytes]
Folder = Callable[..., Path]


@pytest.fixture(scope="session")
def pixels() -> Pixels:
    """`pixels(seed, height, width, channels)` -> a smooth random image [h, w, c] uint8."""

    def make(seed: int, height: int = 32, width: int = 32, channels: int = 3) -> Any:
        small = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), dtype=np.uint8)
        planes = [Image.fromarray(small[:, :, c]).resize((width, height)) for c in range(channels)]
        return np.stack([np.asarray(plane) for plane in planes], axis=-1)

    return make


@pytest.fixture(scope="session")
def picture(pixels: Pixels) -> Picture:
    """`picture(seed, height, width, format="PNG")` -> the bytes of an image file."""

    def make(seed: int, height: int = 32, width: int = 32, format: str = "PNG") -> bytes:  # noqa: A002
        file = io.BytesIO()
        Image.fromarray(pixels(seed, height, width)).save(file, format)
        return file.getvalue()

    return make


@pytest.fixture
def folder(tmp_path: Path, picture: Picture) -> Folder:
    """`folder({"a/1.png": bytes, …})` -> a folder with these files; without: 2 classes of 10."""

    def make(files: dict[str, bytes] | None = None) -> Path:
        if files is None:
            files = {
                f"{name}/{i}.png": picture(10 * k + i) for k, name in enumerate("ab")
                for i in range(10)
            }  # fmt: skip
        for name, content in files.items():
            file = tmp_path / "set" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return tmp_path / "set"

    return make
