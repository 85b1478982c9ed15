"""One image file as bytes, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftune.data.frame import Array, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 89_478_485
"""Pillow's own limit for what may be a decompression bomb: a quarter of a gigabyte as RGB."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""By content, whatever the name says. Pillow's others include PostScript, which it has run."""


class UnusableError(ValueError):
    """Why a file cannot be used as an image, without its name."""


def read(path: Path | Picture, shapes: Sequence[Any]) -> Array:
    """[height, width, channels] uint8: upright, in RGB, and as `shapes` make it.

    Raises UnusableError. The size is looked at before anything is decoded. Transparent parts become
    white, 16 bits a channel become 8; of moving images and of many pages the first counts. What a
    program gave is treated as the same pixels in a file.
    """
    try:
        image = _opened(path)
        for shape in shapes:
            image = shape.on_image(image)
    except UnusableError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever they come across
        raise UnusableError(_reason(error)) from None
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _opened(path: Path | Picture) -> Image:
    from PIL import Image, ImageOps

    if isinstance(path, Picture):
        return rgb(Image.fromarray(path.pixels))
    _check_file(path)
    with Image.open(path, formats=FORMATS) as opened:
        check_size(opened.size)
        opened.load()
        return rgb(ImageOps.exif_transpose(opened))


def size_of(path: Path | Picture) -> tuple[int, int]:
    """(height, width) from the header alone, upright. Raises UnusableError."""
    if isinstance(path, Picture):
        height, width = path.pixels.shape[:2]
        return height, width
    _check_file(path)
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as opened:
            check_size(opened.size)
            width, height = opened.size
            turned = opened.getexif().get(0x0112, 1) >= 5
    except UnusableError:
        raise
    except Exception as error:
        raise UnusableError(_reason(error)) from None
    return (width, height) if turned else (height, width)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UnusableError("is a folder")
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise UnusableError("no such file") from None
    except OSError as error:
        raise UnusableError(error.strerror or str(error)) from None
    if not size:
        raise UnusableError("the file is empty")


def check_size(size: tuple[int, int]) -> None:
    """(width, height) against the limit; also asked where an image is about to be enlarged."""
    if size[0] * size[1] > MOST_PIXELS:
        raise UnusableError(
            f"{size[0]:,} × {size[1]:,} pixels, more than the {MOST_PIXELS:,} allowed"
        )


def rgb(image: Image) -> Image:
    """Any mode as 8 bit RGB."""
    from PIL.Image import alpha_composite, fromarray, new

    if image.mode == "F":
        raise UnusableError("holds fractions, not colours; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        image = fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        front = image.convert("RGBA")
        white = new("RGBA", front.size, (255, 255, 255, 255))
        image = alpha_composite(white, front)
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image (its first bytes are of no format that is read)"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than the {MOST_PIXELS:,} pixels allowed"
    text = (str(error).splitlines() or [""])[0][:80]
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "truncated: the file ends too early"
    return f"damaged ({text or type(error).__name__})"
