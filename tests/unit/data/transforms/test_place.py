"""Where the pixels of crops, flips, rotations and affine maps come from: closed forms, Pillow."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ftune.data.frame import Array
from ftune.data.images.store import resample
from ftune.data.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from ftune.data.transforms.flip import Flip
from ftune.data.transforms.rotate import Affine, Rotate

RNG = np.random.default_rng(0)
NEARLY_1 = 1 - 2**-53


def picture(height: int, width: int, channels: int = 3) -> Array:
    return RNG.integers(1, 256, (height, width, channels), dtype=np.uint8)


def moved(step: Any, image: Array, u: Array) -> Array:
    """What the store makes of one image."""
    x, sizes = torch.from_numpy(image)[None], np.array([image.shape[:2]])
    result, after, _ = resample(x, sizes, True, [(step, u)])
    assert result.dtype == torch.uint8  # whole pixels stay bytes
    assert after[0].tolist() == list(result.shape[1:3])
    array: Array = result[0].numpy()
    return array


@pytest.mark.parametrize("size", [[9, 6], [10, 7], [30, 21], [8, 40], [41, 7], 12, 1])
def test_a_centre_crop_is_that_of_the_decoded_image(size: Any) -> None:
    """Smaller images stand in the middle of black, with the odd pixel left over before them."""
    for height, width in ((20, 21), (21, 20)):
        image, step = picture(height, width), CenterCrop(size)
        by_file = np.asarray(step.on_image(Image.fromarray(image)))
        high, wide = size if isinstance(size, list) else (size, size)
        top, left = math.floor((height - high) / 2), math.floor((width - wide) / 2)
        border = ((50, 50), (50, 50), (0, 0))
        expected = np.pad(image, border)[50 + top :, 50 + left :][:high, :wide]
        np.testing.assert_array_equal(by_file, expected)
        np.testing.assert_array_equal(moved(step, image, np.empty((1, 0))), expected)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("size", [None, 8, [12, 5], [40, 6], [6, 40], [20, 25], [21, 26]])
@pytest.mark.parametrize("u", [(0.0, 0.0), (0.5, 0.25), (0.99, 0.0), (0.0, NEARLY_1)])
def test_a_random_crop_is_a_slice_of_the_padded_image(
    u: tuple[float, float], size: Any, padding: int
) -> None:
    """From 0 to what is left over, both included: floor(u · (left over + 1))."""
    if size is None and not padding:
        return
    image = picture(20, 25)
    step = RandomCrop(size, padding, fill=9)
    high, wide = (20, 25) if size is None else size if isinstance(size, list) else (size, size)
    starts = []
    for share, side, length in ((u[0], 20, high), (u[1], 25, wide)):
        spare = side + 2 * padding - length
        starts.append(math.floor(share * (spare + 1)) if spare >= 0 else math.floor(spare / 2))
    large = np.pad(image, ((50, 50), (50, 50), (0, 0)), constant_values=9)
    top, left = (50 - padding + start for start in starts)
    expected = large[top : top + high, left : left + wide]
    np.testing.assert_array_equal(moved(step, image, np.array([u])), expected)


def test_a_flip_mirrors_where_the_number_is_below_the_probability() -> None:
    image = picture(6, 9)
    for direction in ("horizontal", "vertical", "both"):
        for u in ((0.29, 0.29), (0.29, 0.3), (0.3, 0.29), (0.31, 0.99)):
            expected = image
            if u[0] < 0.3 and direction != "vertical":
                expected = expected[:, ::-1]
            if u[1] < 0.3 and direction != "horizontal":
                expected = expected[::-1]
            step = Flip(direction, 0.3)
            np.testing.assert_array_equal(moved(step, image, np.array([u])), expected)
    never, always = Flip("both", 0.0), Flip("both", 1.0)
    np.testing.assert_array_equal(moved(never, image, np.zeros((1, 2))), image)
    turned = moved(always, image, np.full((1, 2), NEARLY_1))
    np.testing.assert_array_equal(turned, image[::-1, ::-1])


SIZES = np.array([[30, 40], [41, 23], [8, 8], [100, 300]])


def forth(
    angle: float, scale: float, shear: tuple[float, float], shift: tuple[float, float], size: Any
) -> Array:
    """[3, 3] from a place in the source to its place in the result, about the middle (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])  # counter-clockwise, as y points down
    slant = np.array([[1, math.tan(shear[0])], [math.tan(shear[1]), 1]])
    middle = np.array([size[1], size[0]]) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = scale * turn @ slant
    matrix[:2, 2] = middle - matrix[:2, :2] @ middle + shift
    return matrix


@pytest.mark.parametrize("seed", range(5))
def test_an_affine_map_is_undone_by_its_place(seed: int) -> None:
    u = np.random.default_rng(seed).random((4, 6))
    matrix, sizes = Affine(70, 0.4, [0.5, 3.0], 25).place(u, SIZES)
    np.testing.assert_array_equal(sizes, SIZES)
    for row, (place, (high, wide)) in enumerate(zip(matrix, SIZES.tolist(), strict=True)):
        share = 2 * u[row] - 1
        move = (round(share[4] * 0.4 * wide), round(share[5] * 0.4 * high))
        angle, *shear = (math.radians(d) for d in (share[0] * 70, share[1] * 25, share[2] * 25))
        there = forth(angle, 0.5 + 2.5 * u[row, 3], (shear[0], shear[1]), move, (high, wide))
        np.testing.assert_allclose(place @ there, np.eye(3), atol=1e-9)


def test_a_rotation_is_undone_by_its_place() -> None:
    u = np.array([[0.0], [0.3], [0.5], [NEARLY_1]])
    matrix, sizes = Rotate(80).place(u, SIZES)
    np.testing.assert_array_equal(sizes, SIZES)
    for row, place in enumerate(matrix):
        angle = math.radians((2 * float(u[row, 0]) - 1) * 80)
        there = forth(angle, 1.0, (0.0, 0.0), (0.0, 0.0), SIZES[row])
        np.testing.assert_allclose(place @ there, np.eye(3), atol=1e-9)


def test_a_resized_crop_takes_the_middle_where_no_try_fits() -> None:
    """torchvision's rule: the whole image, cut to the nearest shape that is allowed."""
    u, sizes = RNG.random((2, 22)), np.array([[100, 400], [90, 10]])
    step = RandomResizedCrop([20, 10], area=[1.0, 1.0], ratio=[0.75, 4 / 3])
    matrix, out = step.place(u, sizes)
    assert out.tolist() == [[20, 10], [20, 10]]
    # 133 of 400 columns about the middle; 13 of 90 rows.
    expected = np.array([
        [[13.3, 0, 133], [0, 5, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 13 / 20, 38], [0, 0, 1]],
    ])  # fmt: skip
    np.testing.assert_allclose(matrix, expected)


def test_a_resized_crop_brings_its_box_to_the_size_asked_for() -> None:
    from ftune.data.images.boxes import boxes

    u, sizes = RNG.random((50, 22)), np.tile([[64, 80]], (50, 1))
    step = RandomResizedCrop([16, 24], area=[0.1, 0.2], ratio=[0.5, 2.0])
    matrix, out = step.place(u, sizes)
    (found, fits), corner = boxes(u, sizes, [0.1, 0.2], [0.5, 2.0]), np.array([0.0, 0.0, 1.0])
    assert fits.all() and (out == [16, 24]).all()
    top, left, height, width = found.T
    np.testing.assert_allclose(matrix @ corner, np.stack([left, top, top * 0 + 1], 1))
    far = matrix @ np.array([24.0, 16.0, 1.0])
    np.testing.assert_allclose(far[:, :2], np.stack([left + width, top + height], 1))


@pytest.mark.parametrize("turn", [None, True, False])
def test_what_comes_in_from_outside_has_the_fill(turn: bool | None) -> None:
    """A crop that adds no margin leaves the colour to its neighbours; Pillow's black is 0."""
    assert CenterCrop(3).fill == 0 and Flip().fill is None and RandomResizedCrop(3).fill is None
    step: Any = {None: RandomCrop([30, 30], fill=9), True: Rotate(90, fill=9),
                 False: Affine(translate=0.5, fill=9)}[turn]  # fmt: skip
    x, u = torch.full((1, 20, 10, 3), 200), np.full((1, step.draws), 0.99)
    result, _, _ = resample(x, np.array([[20, 10]]), True, [(step, u)])
    assert {9, 200} <= set(result.round().flatten().tolist())
