"""Images that a program hands over instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ftune.data.frame import Array, Picture
from ftune.errors import DataError


def pictures(rows: Sequence[Any], where: str) -> Array:
    """[rows] of Picture; or of paths, where all are texts. Raises DataError that names the row."""
    column = np.empty(len(rows), dtype=object)
    paths = [isinstance(row, str) for row in rows]
    if all(paths):
        column[:] = list(rows)
        return column
    for number, row in enumerate(rows, 1):
        column[number - 1] = Picture(_pixels(row, f"{where}, row {number}"), number)
    return column


def _pixels(image: Any, where: str) -> Array:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or not pixels.size:
        shown = f"{pixels.dtype} {list(pixels.shape)}"
        raise DataError(
            f"{where}: {shown} is no image; expected uint8, 0 to 255, [height, width] or [height,"
            " width, channels]"
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise DataError(
            f"{where}: {pixels.shape[2]} channels in {list(pixels.shape)}; an image is [height,"
            " width, channels] with 1, 3 or 4 (the last is opacity)"
        )
    return pixels
