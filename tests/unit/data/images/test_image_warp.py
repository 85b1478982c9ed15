"""Where pixels come from, against Pillow, numpy and kornia."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ftune.data.images.warp import (
    around_middle,
    compose,
    identity,
    offsets,
    shifted,
    shrinking,
    warped,
)
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


Box = tuple[float, float, float, float]
BOXES: list[Box] = [(0, 0, 36, 24), (3, 2, 33, 20), (5, 4, 12, 9), (1.5, 0.5, 35, 23)]


def noise(height: int = H, width: int = W) -> Any:
    """Fine grain, of which four pixels tell nothing about their surroundings."""
    return np.random.default_rng(6).integers(0, 256, (height, width, 3), dtype=np.uint8)


def cut(box: Box, out: tuple[int, int], flipped: bool = False) -> Any:
    """(left, top, right, bottom) of the source brought to `out`, as random_resized_crop does."""
    left, top, right, bottom = box
    matrix = identity(1)
    matrix[0, 0, 0], matrix[0, 1, 1] = (right - left) / out[1], (bottom - top) / out[0]
    matrix[0, 0, 2], matrix[0, 1, 2] = left, top
    flip = identity(1)
    flip[:, 0, 0], flip[:, 0, 2] = -1, out[1]
    return compose(matrix, flip) if flipped else matrix


def without_averaging(x: torch.Tensor, matrix: Any, out: tuple[int, int]) -> torch.Tensor:
    """The control: four pixels, however many there are, as training once did."""
    theta = torch.from_numpy(matrix[:, :2]).float()
    size = torch.tensor([x.shape[3], x.shape[2]])
    places = torch.meshgrid(torch.arange(out[1]), torch.arange(out[0]), indexing="xy")
    source = (torch.stack(places, dim=-1) + 0.5) @ theta[0, :, :2].T + theta[0, :, 2]
    return torch.nn.functional.grid_sample(
        x, (source * 2 / size - 1)[None], align_corners=False, padding_mode="border"
    )


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("out", [(8, 8), (12, 18), (5, 30), (40, 9), (24, 36)])
@pytest.mark.parametrize("box", BOXES)
def test_scaling_is_pillows_resize(box: Box, out: tuple[int, int], flipped: bool) -> None:
    """Evaluation resizes by Pillow: a crop in training must look the same, smaller or larger."""
    image = noise()
    matrix = cut(box, out, flipped)
    ours = warped(floats(image), matrix, SIZES, out, 0)[0].permute(1, 2, 0).numpy()
    resized = Image.fromarray(image).resize((out[1], out[0]), Image.Resampling.BILINEAR, box)
    theirs = np.asarray(resized).astype(float)
    assert np.abs(ours - (theirs[:, ::-1] if flipped else theirs)).max() <= 1.01  # whole numbers
    if (box[2] - box[0]) / out[1] > 1.5:
        skipping = without_averaging(floats(image), matrix, out)[0].permute(1, 2, 0).numpy()
        assert np.abs(ours - skipping).max() > 10


@pytest.mark.parametrize("out", [(8, 8), (7, 19), (24, 36), (30, 40), (3, 50)])
def test_scaling_is_torchs_antialiasing(out: tuple[int, int]) -> None:
    x = floats(noise())
    ours = warped(x, cut((0, 0, W, H), out), SIZES, out, 0)
    theirs = torch.nn.functional.interpolate(x, out, mode="bilinear", antialias=True)
    assert (ours - theirs).abs().max() < 1e-3


@pytest.mark.parametrize("degrees", [5, 30, -100])
def test_a_turned_image_is_averaged_where_it_shrinks(degrees: float) -> None:
    """As an average of 64 points in each pixel of the result; four pixels are far from that."""
    image, out = floats(noise(96, 144)), (24, 36)
    sizes = np.array([[96, 144]])
    angle = np.array([math.radians(degrees)])
    small = cut((0.0, 0.0, 144.0, 96.0), out)
    matrix = compose(around_middle(inverse_linear(angle, ZERO, ZERO, ZERO + 1), sizes), small)
    ours = warped(image, matrix, sizes, out, 0)
    fine = compose(matrix, np.diag([1 / 8, 1 / 8, 1])[None])
    points = without_averaging(image, fine, (8 * out[0], 8 * out[1]))
    reference = torch.nn.functional.avg_pool2d(points, 8)
    skipping = without_averaging(image, matrix, out)
    middle = (..., slice(9, 15), slice(12, 24))
    near, far = ((way - reference)[middle].abs().mean() for way in (ours, skipping))
    assert near < 0.5 * far


def test_turning_and_slanting_alone_average_nothing() -> None:
    assert (shrinking(turned(33)) == 1).all() and (shrinking(turned(-90)) == 1).all()
    assert (shrinking(turned(0, slant=15)) == 1).all()
    slanted = identity(1)
    slanted[:, 0, 1] = 0.3
    assert (shrinking(slanted) == 1).all()
    assert np.allclose(shrinking(turned(25, scale=0.5)), 2)
    assert np.allclose(shrinking(cut((0.0, 0.0, 36.0, 24.0), (12, 9))), [[4, 2]])
    assert (shrinking(turned(25, scale=2.0)) == 1).all()


def test_a_row_does_not_depend_on_how_much_others_shrink(pixels: Pixels) -> None:
    x = torch.cat([floats(pixels(n, H, W)) for n in range(4)])
    sizes = np.array([[H, W], [20, 30], [H, W], [9, 11]])
    matrices = np.concatenate([
        cut(BOXES[0], (12, 12)), cut((0.0, 0.0, 30.0, 20.0), (12, 12)),
        compose(turned(20, scale=0.6), cut(BOXES[1], (12, 12))), cut(BOXES[2], (12, 12), True),
    ])  # fmt: skip
    whole = warped(x, matrices, sizes, (12, 12), 5)
    for rows in ([0], [2], [3, 1], [2, 0, 3], [1, 1, 1, 1, 0]):
        part = warped(x[rows], matrices[rows], sizes[rows], (12, 12), 5)
        assert torch.equal(part, whole[rows])
    assert not torch.equal(whole[0], warped(x[:1], matrices[1:2], sizes[:1], (12, 12), 5)[0])


def test_what_is_averaged_ends_at_the_rim_of_the_image(pixels: Pixels) -> None:
    """Neither the canvas beside a smaller image nor its colour outside gets in."""
    image = pixels(9, H, W)
    canvas = np.full((H + 10, W + 7, 3), 255, dtype=np.uint8)
    canvas[:H, :W] = image
    for matrix in (cut(BOXES[0], (7, 9)), compose(turned(20, scale=0.4), cut(BOXES[0], (7, 9)))):
        alone = warped(floats(image), matrix, SIZES, (7, 9), 0)
        within = warped(floats(canvas), matrix, SIZES, (7, 9), 0)
        assert (alone - within).abs().max() < 0.05
    beyond = warped(floats(image), cut((-36.0, 0.0, 36.0, 24.0), (12, 12)), SIZES, (12, 12), 77)
    assert (beyond[..., :6] == 77).all() and not (beyond[..., 6:] == 77).all()
    resized = Image.fromarray(image).resize((6, 12), Image.Resampling.BILINEAR)
    right = torch.from_numpy(np.asarray(resized).astype(np.float32)).permute(2, 0, 1)
    assert (beyond[0, :, :, 6:] - right).abs().max() <= 1.01
