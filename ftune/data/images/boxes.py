"""Random rectangles, as random_resized_crop cuts them out and erase covers them."""

from __future__ import annotations

import math

import numpy as np

from ftune.data.frame import Array
from ftune.data.images.uniform import between, each

TRIES = 10
DRAWS = 2 * TRIES + 2
"""Random numbers that a box needs: area and ratio of each try, then its place."""


def boxes(u: Array, sizes: Array, area: list[float], ratio: list[float]) -> tuple[Array, Array]:
    """Where and how large: [rows, 4] int64 (top, left, height, width), and [rows] whether found.

    The share of the image's area is uniform, width / height log-uniform; the first of ten tries
    that fits inside is taken (Szegedy et al. 2015 as torchvision does it). sizes: [rows, 2].
    """
    shares = between(u[:, :TRIES], *area) * (sizes[:, 0] * sizes[:, 1])[:, None]
    low, high = math.log(ratio[0]), math.log(ratio[1])
    ratios = each(math.exp, between(u[:, TRIES : 2 * TRIES], low, high))
    widths = np.round(np.sqrt(shares * ratios)).astype(np.int64)
    heights = np.round(np.sqrt(shares / ratios)).astype(np.int64)
    fits = (widths > 0) & (heights > 0)
    fits &= (widths <= sizes[:, 1:]) & (heights <= sizes[:, :1])
    first, rows = fits.argmax(axis=1), np.arange(len(u))
    height, width = heights[rows, first], widths[rows, first]
    has_box: Array = fits[rows, first]
    top = np.floor(u[:, -2] * (sizes[:, 0] - height + 1)).astype(np.int64)
    left = np.floor(u[:, -1] * (sizes[:, 1] - width + 1)).astype(np.int64)
    return np.stack([top, left, height, width], axis=1), has_box


def middle(sizes: Array, ratio: list[float]) -> Array:
    """The largest centred box whose width / height lies in `ratio`: [rows, 4]."""
    heights, widths = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    width = np.minimum(widths, np.round(heights * ratio[1])).astype(np.int64)
    height = np.minimum(heights, np.round(widths / ratio[0])).astype(np.int64)
    top, left = (sizes[:, 0] - height) // 2, (sizes[:, 1] - width) // 2
    return np.stack([top, left, height, width], axis=1)
