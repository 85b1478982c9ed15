"""Where a pixel comes from: matrices that compose, and one resampling for all of them.

A place is [rows, 3, 3] float64: from (x, y, 1) of the result to (x, y, 1) of the source, in pixels,
where pixel i covers [i, i + 1). Flips and crops keep to whole pixels and are exact; the others are
bilinear, as Pillow's `Image.transform` is: what lies outside becomes `fill`, at the rim the
outermost pixels go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Array

if TYPE_CHECKING:
    import torch


def identity(rows: int) -> Array:
    return np.tile(np.eye(3), (rows, 1, 1))


def offsets(x: Array, y: Array) -> Array:
    """The result begins at (x, y) of the source: both [rows]."""
    matrix = identity(len(x))
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def around_middle(linear: Array, sizes: Array) -> Array:
    """[rows, 2, 2] maps applied about the middle of images of `sizes` [rows, 2]."""
    matrix, middle = identity(len(sizes)), sizes[:, ::-1] / 2
    matrix[:, :2, :2] = linear
    matrix[:, 0, 2] = middle[:, 0] - linear[:, 0, 0] * middle[:, 0] - linear[:, 0, 1] * middle[:, 1]
    matrix[:, 1, 2] = middle[:, 1] - linear[:, 1, 0] * middle[:, 0] - linear[:, 1, 1] * middle[:, 1]
    return matrix


def compose(first: Array, then: Array) -> Array:
    """`first`, then `then`; matrix by matrix, so that no row depends on its neighbours."""
    parts = [
        [sum(first[:, i, k] * then[:, k, j] for k in range(3)) for j in range(3)] for i in range(3)
    ]
    return np.moveaxis(np.array(parts), -1, 0)


def shifted(
    x: torch.Tensor, matrix: Array, sizes: Array, out: tuple[int, int], fill: int
) -> torch.Tensor:
    """x [n, h, w, c] -> [n, *out, c], whole pixels: `matrix` flips and moves by whole numbers."""
    import torch

    axes = []
    for axis, length in ((1, out[0]), (0, out[1])):
        centres = matrix[:, axis, axis, None] * (np.arange(length) + 0.5) + matrix[:, axis, 2, None]
        axes.append(np.floor(centres).astype(np.int64))
    (ys, xs), (heights, widths) = axes, (sizes[:, :1], sizes[:, 1:])
    inside = ((ys >= 0) & (ys < heights))[:, :, None] & ((xs >= 0) & (xs < widths))[:, None, :]
    n, width = len(x), x.shape[2]
    places = np.clip(ys, 0, heights - 1)[:, :, None] * width + np.clip(xs, 0, widths - 1)[:, None]
    places += (np.arange(n) * (x.shape[1] * width))[:, None, None]
    index = torch.from_numpy(places.ravel()).to(x.device)
    flat = x.reshape(-1, x.shape[3]).index_select(0, index)
    if not inside.all():
        flat[torch.from_numpy(~inside.ravel()).to(x.device)] = fill
    return flat.view(n, *out, x.shape[3])


def warped(
    x: torch.Tensor, matrix: Array, sizes: Array, out: tuple[int, int], fill: int
) -> torch.Tensor:
    """x [n, c, h, w] float -> [n, c, *out], bilinear; `sizes` [n, 2]: the part that is image."""
    import torch

    px, py = _sources(x, matrix, out)
    size = torch.from_numpy(sizes.astype(np.float32)).to(x.device)[:, :, None, None]
    high, wide = size[:, 0], size[:, 1]
    inside = (px >= 0) & (px < wide) & (py >= 0) & (py < high)
    px = torch.minimum(px.clamp(min=0.5), wide - 0.5) * (2 / x.shape[3]) - 1
    py = torch.minimum(py.clamp(min=0.5), high - 0.5) * (2 / x.shape[2]) - 1
    result = torch.nn.functional.grid_sample(
        x, torch.stack([px, py], dim=-1), mode="bilinear", align_corners=False
    )
    return torch.where(inside[:, None], result, float(fill))


def _sources(
    x: torch.Tensor, matrix: Array, out: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y of the source at each pixel of the result: [n, *out]; sums of rounded products."""
    import torch

    rows = torch.from_numpy(matrix[:, :2].astype(np.float32)).to(x.device)[..., None, None]
    across = torch.arange(out[1], device=x.device, dtype=torch.float32) + 0.5
    down = (torch.arange(out[0], device=x.device, dtype=torch.float32) + 0.5)[:, None]
    px, py = (rows[:, i, 0] * across + rows[:, i, 1] * down + rows[:, i, 2] for i in (0, 1))
    return px, py
