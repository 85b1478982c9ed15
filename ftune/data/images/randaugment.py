"""The fourteen operations of RandAugment, each on the rows that drew it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ftune.data.frame import Array
from ftune.data.images import color
from ftune.data.images.warp import around_middle, warped
from ftune.data.transforms.rotate import inverse_linear

if TYPE_CHECKING:
    import torch

NAMES = (
    "identity", "autocontrast", "equalize", "solarize", "posterize", "saturation", "contrast",
    "brightness", "sharpness", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
MOVES = NAMES.index("rotate")


def augmented(x: torch.Tensor, which: Array, way: Array, share: float, fill: int) -> torch.Tensor:
    """One operation a row, drawn by `which` [n]; `way` [n] is its sign, `share` of the strongest.

    x: [n, c, h, w] of 0 to 255.
    """
    import torch

    chosen = np.floor(which * len(NAMES)).astype(np.int64)
    sign, result = np.where(way < 0.5, -1.0, 1.0), x.clone()
    for number in sorted(set(chosen[(chosen > 0) & (chosen < MOVES)].tolist())):
        here = np.flatnonzero(chosen == number)
        rows = torch.from_numpy(here).to(x.device)
        result[rows] = _recoloured(NAMES[number], x[rows], sign[here], share)
    moved = np.flatnonzero(chosen >= MOVES)
    if len(moved):
        rows = torch.from_numpy(moved).to(x.device)
        sizes = np.broadcast_to(x.shape[2:], (len(moved), 2))
        matrix = _moves(chosen[moved], sign[moved] * share, sizes)
        out = (x.shape[2], x.shape[3])
        result[rows] = warped(x[rows], matrix, sizes, out, fill)
    return result


def _recoloured(name: str, x: torch.Tensor, sign: Array, share: float) -> torch.Tensor:
    """torchvision's strengths: factors 1 ± 0.9, 8 to 4 bits, thresholds 255 to 0."""
    if name == "autocontrast":
        return color.autocontrast(x)
    if name == "equalize":
        return color.equalize(x)
    if name == "posterize":
        return color.posterize(x, np.full(len(x), 8.0 - round(4 * share)))
    if name == "solarize":
        return color.solarize(x, np.full(len(x), 255 * (1 - share)))
    result: torch.Tensor = getattr(color, name)(x, 1 + sign * 0.9 * share)
    return result


def _moves(chosen: Array, strength: Array, sizes: Array) -> Array:
    """Rotation to 30°, shear to 0.3, translation to 150 / 331 of the side; `strength` -1 to 1."""
    ones, kinds = np.ones(len(chosen)), [chosen == NAMES.index(name) for name in NAMES[MOVES:]]
    rotate, shear_x, shear_y, move_x, move_y = (np.where(kind, strength, 0.0) for kind in kinds)
    linear = inverse_linear(rotate * math.radians(30), ones * 0, ones * 0, ones)
    linear[:, 0, 1] -= 0.3 * shear_x
    linear[:, 1, 0] -= 0.3 * shear_y
    matrix = around_middle(linear, sizes)
    matrix[:, 0, 2] -= np.trunc(move_x * sizes[:, 1] * (150 / 331))
    matrix[:, 1, 2] -= np.trunc(move_y * sizes[:, 0] * (150 / 331))
    return matrix
