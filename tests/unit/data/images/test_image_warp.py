"""Where pixels come from, against Pillow, numpy and kornia."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ftune.data.images.warp import around_middle, compose, identity, offsets, shifted, warped
from ftune.data.transforms.rotate import inverse_linear

Pixels = Callable[..., Any]
H, W = 24, 36
SIZES = np.array([[H, W]])
ZERO = np.zeros(1)


def turned(degrees: float, slant: float = 0.0, scale: float = 1.0) -> Any:
    angle, shear = np.array([math.radians(degrees)]), np.array([math.radians(slant)])
    return around_middle(inverse_linear(angle, shear, ZERO, np.array([scale])), SIZES)


def floats(image: Any) -> torch.Tensor:
    return torch.from_numpy(image.copy())[None].permute(0, 3, 1, 2).float()


def by_pillow(image: Any, matrix: Any, out: tuple[int, int], fill: int) -> Any:
    size, data = (out[1], out[0]), tuple(matrix[0, :2].ravel())
    made = Image.fromarray(image).transform(
        size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=(fill,) * 3
    )
    return np.asarray(made).astype(float)


@pytest.mark.parametrize("fill", [0, 77])
@pytest.mark.parametrize(
    ("matrix", "out"),
    [
        (turned(20), (H, W)),
        (turned(-75, slant=15, scale=1.3), (H, W)),
        (compose(offsets(ZERO + 5, ZERO - 3), turned(10)), (20, 30)),
        (np.array([[[0.5, 0, 3.2], [0, 0.4, 1.7], [0, 0, 1]]]), (40, 40)),
    ],
)
def test_a_warp_is_pillows(pixels: Pixels, matrix: Any, out: tuple[int, int], fill: int) -> None:
    image = pixels(0, H, W)
    ours = warped(floats(image), matrix, SIZES, out, fill)[0].permute(1, 2, 0).numpy()
    theirs = by_pillow(image, matrix, out, fill)
    far = (np.abs(ours - theirs) > 1.01).any(axis=-1)
    assert far.mean() < 0.004  # pixels whose centre lies on the rim to the last bit
    assert (np.abs(ours - by_pillow(image, turned(21), out, fill)) > 1.01).mean() > 0.1


def test_a_warp_is_kornias_inside(pixels: Pixels) -> None:
    from kornia.geometry import warp_affine

    x, matrix = floats(pixels(1, H, W)), turned(12, slant=5)
    half = offsets(ZERO + 0.5, ZERO + 0.5)  # kornia counts from the centres of pixels
    centred = np.linalg.inv(half) @ matrix @ half
    forth = torch.from_numpy(np.linalg.inv(centred)[:, :2]).float()
    theirs = warp_affine(x, forth, (H, W), align_corners=True)
    ours = warped(x, matrix, SIZES, (H, W), 0)
    assert (ours - theirs)[:, :, 6:-6, 10:-10].abs().max() < 0.02


def test_positive_angles_turn_as_pillows_rotate(pixels: Pixels) -> None:
    image = pixels(2, 31, 31)
    matrix = around_middle(
        inverse_linear(np.array([math.radians(30)]), ZERO, ZERO, ZERO + 1), np.array([[31, 31]])
    )
    ours = warped(floats(image), matrix, np.array([[31, 31]]), (31, 31), 0)[0].permute(1, 2, 0)
    theirs = np.asarray(Image.fromarray(image).rotate(30, Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(ours.numpy() - theirs)[8:-8, 8:-8].max() <= 1.01


def test_flips_and_crops_are_exact(pixels: Pixels) -> None:
    image = pixels(3, H, W)
    x = torch.from_numpy(image)[None]
    flip = identity(1)
    flip[:, 0, 0], flip[:, 0, 2] = -1, W
    assert (shifted(x, flip, SIZES, (H, W), 0)[0].numpy() == image[:, ::-1]).all()
    crop = offsets(ZERO + 4, ZERO + 2)
    assert (shifted(x, crop, SIZES, (8, 9), 0)[0].numpy() == image[2:10, 4:13]).all()
    both = compose(flip, crop)
    assert (shifted(x, both, SIZES, (8, 9), 0)[0].numpy() == image[:, ::-1][2:10, 4:13]).all()
    other = compose(crop, flip)
    assert not (other == both).all()


def test_what_lies_outside_is_filled(pixels: Pixels) -> None:
    image = pixels(4, H, W)
    moved = shifted(torch.from_numpy(image)[None], offsets(ZERO - 3, ZERO - 2), SIZES, (H, W), 9)
    assert (moved[0, :2] == 9).all() and (moved[0, :, :3] == 9).all()
    assert (moved[0, 2:, 3:].numpy() == image[:-2, :-3]).all()


def test_the_rim_of_a_canvas_is_no_image(pixels: Pixels) -> None:
    image = pixels(5, H, W)
    canvas = np.full((H + 10, W + 7, 3), 255, dtype=np.uint8)
    canvas[:H, :W] = image
    matrix = turned(33)
    alone = warped(floats(image), matrix, SIZES, (H, W), 0)
    within = warped(floats(canvas), matrix, SIZES, (H, W), 0)
    assert (alone - within).abs().max() < 0.05


def test_composition_is_one_after_the_other() -> None:
    first, then = turned(20, 5), turned(-50, 2, 1.2)
    assert np.allclose(compose(first, then), first @ then)
    assert not np.allclose(compose(first, then), then @ first)
