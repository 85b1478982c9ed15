"""Where a pixel comes from: matrices that compose, and one resampling for all of them.

A place is [rows, 3, 3] float64: from (x, y, 1) of the result to (x, y, 1) of the source, in pixels,
where pixel i covers [i, i + 1). Flips and crops keep to whole pixels and are exact. Scaling is
bilinear and averages pixels where it shrinks, as Pillow's `Image.resize` does, by which images are
resized in evaluation; what is also turned or slanted is averaged first where it shrinks, then
sampled as by Pillow's `Image.transform`. What lies outside becomes `fill`, at the rim the outermost
pixels go on. No row depends on its neighbours in a bit.
"""

from __future__ import annotations

import math
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

    straight = (matrix[:, 0, 1] == 0) & (matrix[:, 1, 0] == 0)
    if straight.all():
        return _scaled(x, matrix, sizes, out, fill)
    if not straight.any():
        return _turned(x, matrix, sizes, out, fill)
    result = x.new_empty(len(x), x.shape[1], *out)
    for chosen, way in ((straight, _scaled), (~straight, _turned)):
        rows = torch.from_numpy(np.flatnonzero(chosen)).to(x.device)
        result[rows] = way(x[rows], matrix[chosen], sizes[chosen], out, fill)
    return result


def _scaled(
    x: torch.Tensor, matrix: Array, sizes: Array, out: tuple[int, int], fill: int
) -> torch.Tensor:
    """Only scaled, flipped and moved: one axis after the other."""
    import torch

    inside = []
    for axis, length in ((1, out[0]), (0, out[1])):
        scale, size = matrix[:, axis, axis], sizes[:, 1 - axis]
        centres = scale[:, None] * (np.arange(length) + 0.5) + matrix[:, axis, 2, None]
        x = averaged(x, centres, np.maximum(np.abs(scale), 1), size, 3 - axis)
        inside.append((centres >= 0) & (centres < size[:, None]))
    if all(part.all() for part in inside):
        return x
    mask = torch.from_numpy(inside[0][:, None, :, None] & inside[1][:, None, None]).to(x.device)
    return torch.where(mask, x, float(fill))


def _turned(
    x: torch.Tensor, matrix: Array, sizes: Array, out: tuple[int, int], fill: int
) -> torch.Tensor:
    """Any map: averaged where it shrinks, then sampled between four pixels."""
    import torch

    x = _smoothed(x, shrinking(matrix), sizes)
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


def shrinking(matrix: Array) -> Array:
    """[rows, 2]: how many pixels of the source, along x and y, one pixel of the result replaces.

    At least 1: a pixel of the source that covers one of the result or more is not averaged. That
    is so of any rotation, and of slants, which keep the distance of one direction.
    """
    (a, b), (c, d) = matrix[:, 0, :2].T, matrix[:, 1, :2].T
    area = np.abs(a * d - b * c)
    replaced = np.stack([area / np.sqrt(c * c + d * d), area / np.sqrt(a * a + b * b)], axis=1)
    result: Array = np.where(replaced > 1 + 1e-6, replaced, 1.0)
    return result


def _smoothed(x: torch.Tensor, widths: Array, sizes: Array) -> torch.Tensor:
    """The rows that shrink, averaged at each of their pixels."""
    import torch

    small = np.flatnonzero((widths > 1).any(axis=1))
    if not len(small):
        return x
    rows = torch.from_numpy(small).to(x.device)
    part = x[rows]
    for axis in (1, 0):
        centres = np.tile(np.arange(x.shape[3 - axis]) + 0.5, (len(small), 1))
        part = averaged(part, centres, widths[small, axis], sizes[small, 1 - axis], 3 - axis)
    return x.index_copy(0, rows, part)


def averaged(x: torch.Tensor, centres: Array, widths: Array, size: Array, dim: int) -> torch.Tensor:
    """Means about `centres` [n, length] along `dim` of x, in the place of its pixels.

    Weights fall in a line to 0 at the distance `widths` [n]; pixels from `size` [n] on have none,
    and the others make up for it (Pillow's and torch's antialiasing). The sum goes pixel by pixel,
    so that a row is the same to the last bit whatever the widths of the others.
    """
    import torch

    lines = x.permute(0, dim, 5 - dim, 1)  # whole lines are gathered, as they lie in memory
    flat = lines.reshape(len(x) * x.shape[dim], -1)
    begin = np.arange(len(x))[:, None] * x.shape[dim]
    part = flat.new_empty(centres.size, flat.shape[1])
    result = torch.zeros_like(part)
    for pixels, weights in _taps(centres, widths, size):
        index = torch.from_numpy((begin + pixels).ravel()).to(x.device)
        weight = torch.from_numpy(weights.ravel()).to(x.device)
        torch.index_select(flat, 0, index, out=part)
        result += part.mul_(weight[:, None])
    return result.view(*centres.shape, *lines.shape[2:]).permute(0, 3, dim - 1, 4 - dim)


def _taps(centres: Array, widths: Array, size: Array) -> list[tuple[Array, Array]]:
    """Pixels that may count for each centre, int64, with their weights, float32: [n, length]."""
    width, last = widths[:, None], size[:, None] - 1
    first = np.floor(centres - width + 0.5)
    taps = [first + tap for tap in range(math.ceil(2 * widths.max()) + 1)]
    weights = [
        np.maximum(1 - np.abs(pixel + 0.5 - centres) / width, 0) * ((pixel >= 0) & (pixel <= last))
        for pixel in taps
    ]
    total = sum(weights[1:], start=weights[0])
    total = np.where(total == 0, 1, total)  # nothing of the image is near: it is filled
    return [
        (np.clip(pixel, 0, last).astype(np.int64), (weight / total).astype(np.float32))
        for pixel, weight in zip(taps, weights, strict=True)
    ]


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
