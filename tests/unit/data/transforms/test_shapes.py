"""Sizes, margins, greys and holes, against Pillow, numpy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ftune.config.read import SettingError
from ftune.data.frame import Array, Frame
from ftune.data.images.read import MOST_PIXELS, UnusableError
from ftune.data.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from ftune.data.transforms.erase import Erase
from ftune.data.transforms.grayscale import Grayscale
from ftune.data.transforms.normalize import Normalize
from ftune.data.transforms.pad import Pad
from ftune.data.transforms.resize import Resize
from ftune.data.transforms.rotate import Affine
from ftune.errors import DataError

RNG = np.random.default_rng(0)


def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, 3)
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8))


def same(ours: Image.Image, theirs: Image.Image) -> None:
    assert ours.mode == theirs.mode and ours.size == theirs.size
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("size", "height", "width"),
    [("square", 21, 21), ([30, 20], 30, 20), ([18, 24], 18, 24), (19, 19, 19), (12, 18, 13),
     (15, 18, 15)],
)  # fmt: skip
def test_margins_are_pillows(mode: str, size: Any, height: int, width: int) -> None:
    """ImageOps.expand, the odd pixel on the right and below; what is larger already stays."""
    images = {"square": picture(21, 16, mode)}
    image = images.get(str(size), picture(18, 13, mode))
    left, top = (width - image.width) // 2, (height - image.height) // 2
    right, below = width - image.width - left, height - image.height - top
    fill: Any = 77 if mode == "L" else (77,) * 3
    same(
        Pad(size, fill=77).on_image(image), ImageOps.expand(image, (left, top, right, below), fill)
    )


def test_what_needs_no_margins_or_no_resizing_is_left_alone() -> None:
    image = picture(18, 18)
    for step in (Pad("square"), Pad(18), Pad([4, 4]), Resize(18), Resize([18, 18])):
        assert step.on_image(image) is image


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (40, 60, 20, (30, 20)),
        (60, 40, 20, (20, 30)),
        (7, 10, 5, (7, 5)),  # 7.14 is rounded down, as torchvision does
        (10, 17, 6, (10, 6)),  # 10.2
        (11, 13, [9, 30], (30, 9)),
        (11, 13, [11, 20], (20, 11)),
        (11, 13, 30, (35, 30)),  # 35.45
    ],
)
def test_sizes_are_pillows(
    name: Any, height: int, width: int, size: Any, expected: tuple[int, int]
) -> None:
    image = picture(height, width)
    ours = Resize(size, name).on_image(image)
    same(ours, image.resize(expected, Image.Resampling[name.upper()]))


def test_bilinear_is_what_it_does_unless_told() -> None:
    image = picture(20, 30)
    same(Resize([9, 9]).on_image(image), image.resize((9, 9), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("step", [Pad([30_000, 10_000]), Resize([30_000, 10_000]), Resize(20_000)])
def test_what_would_become_too_large_is_refused_beforehand(step: Any) -> None:
    assert MOST_PIXELS < 30_000 * 10_000
    with pytest.raises(UnusableError, match="pixels, more than the"):
        step.on_image(picture(10, 10))


def test_greys_are_pillows() -> None:
    image = picture(9, 8)
    same(Grayscale().on_image(image), image.convert("L"))
    same(Grayscale(3).on_image(image), image.convert("L").convert("RGB"))
    assert Grayscale(3).plain() == (Grayscale(3),)


def frame(image: Array) -> Frame:
    return Frame({"image": image, "x": np.zeros(len(image))}, "t.npz", np.arange(1, len(image) + 1))


def resized(image: Array, *given: Any) -> Array:
    step, rows = Resize(*given), frame(image)
    state = step.fit(rows, None)
    assert state == {"image": {}}
    array: Array = step.apply(rows, state)["image"]
    assert array.dtype == np.float32
    return array


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize(
    "size", [[5, 4], [9, 8], [12, 5], [6, 13], [12, 9], [9, 9], [9, 7], [10, 8], [8, 8], 9, 8, 3]
)
def test_arrays_are_torchs(size: Any, mode: Any, channels: int | None) -> None:
    """Averaged as soon as either side shrinks; nearest takes the nearest centre."""
    shape = (3, 9, 8) if channels is None else (3, channels, 9, 8)
    image = RNG.random(shape).astype(np.float32)
    high, wide = size if isinstance(size, list) else (size, size)
    four = torch.from_numpy(image).reshape(3, channels or 1, 9, 8)
    nearest = mode == "nearest"
    theirs = torch.nn.functional.interpolate(
        four, (high, wide), mode="nearest-exact" if nearest else mode,
        antialias=not nearest and (high < 9 or wide < 8),
    )  # fmt: skip
    np.testing.assert_array_equal(
        resized(image, size, mode), theirs.reshape(*shape[:-2], high, wide).numpy()
    )


def test_only_images_are_resized() -> None:
    step = Resize(3)
    rows = Frame({"a": np.zeros((2, 9), np.float32)}, "t.npz", np.arange(1, 3))
    with pytest.raises(DataError, match=r"t.npz: column `a` \[2, 9\] is no image"):
        step.fit(rows, None)
    five = Frame({"a": np.zeros((2, 1, 1, 3, 3), np.float32)}, "t.npz", np.arange(1, 3))
    with pytest.raises(DataError, match="is no image"):
        step.fit(five, None)
    both = frame(np.zeros((2, 4, 4), np.float32)).with_columns(
        {"b": np.ones((2, 5, 5), np.float32)}
    )
    alone = Resize(3, columns=["b"])
    result = alone.apply(both, alone.fit(both, None))
    assert result["image"].shape == (2, 4, 4) and result["b"].shape == (2, 3, 3)


def test_holes_lie_where_the_box_is_drawn() -> None:
    """The first number says whether; the second is the stream of the noise, numpy's Philox."""
    from ftune.data.images.boxes import boxes

    step = Erase(0.4, [0.1, 0.3], [0.5, 3.0], fill="noise")
    u = RNG.random((40, 24))
    u[:4, 0] = [0.0, 0.4, 0.399, 1 - 2**-53]
    u[4, 0] = u[5, 0] = 0.1
    u[4, 1], u[5, 1] = 0.25, 0.25 + 2**-53  # a stream of its own for each value
    before = torch.from_numpy(RNG.random((40, 3, 20, 30)).astype(np.float32))
    expected = before.clone()
    found, fits = boxes(u[:, 2:], np.tile([[20, 30]], (40, 1)), [0.1, 0.3], [0.5, 3.0])
    for row, (top, left, high, wide) in enumerate(found.tolist()):
        if u[row, 0] < 0.4 and fits[row]:
            stream = np.random.Generator(np.random.Philox(key=[int(u[row, 1] * 2**53), 0]))
            noise = stream.standard_normal((3, high, wide), dtype=np.float32)
            expected[row, :, top : top + high, left : left + wide] = torch.from_numpy(noise)
    assert torch.equal(step.erase(before.clone(), u), expected)
    plain = Erase(0.4, [0.1, 0.3], [0.5, 3.0]).erase(before.clone(), u)
    changed = expected != before
    assert torch.equal(plain, torch.where(changed, 0.0, before))
    assert not torch.equal(Erase(0.0).erase(before.clone(), u), plain)
    assert torch.equal(Erase(0.0).erase(before.clone(), u * 0), before)


def test_what_no_box_fits_in_stays_whole() -> None:
    x = torch.ones(30, 1, 8, 8)
    u = RNG.random((30, 24))
    assert (Erase(1.0, [0.9, 1.0], [30.0, 40.0]).erase(x, u) == 1).all()


def test_the_colours_of_imagenet_are_those_of_transformers() -> None:
    utils = pytest.importorskip("transformers.image_utils")
    expected = (utils.IMAGENET_DEFAULT_MEAN, utils.IMAGENET_DEFAULT_STD)
    assert Normalize("imagenet").given == expected
    assert not Normalize("imagenet").learns
    assert Normalize().given is None and Normalize().learns
    own = Normalize([0.5, 0.4], [0.1, 0.2])
    assert own.given == ([0.5, 0.4], [0.1, 0.2]) and not own.learns and own.plain() == (own,)


@pytest.mark.parametrize(
    ("make", "setting", "message"),
    [
        (lambda: CenterCrop([1, 2, 3]), "size", r"\[1, 2, 3\]: expected one number"),
        (lambda: CenterCrop([1]), "size", r"\[1\]: expected one number, or \[height, width\]"),
        (lambda: RandomCrop([1]), "size", r"\[1\]: expected one number"),
        (lambda: RandomCrop(), "size", "needs a `size`, a `padding` or both"),
        (lambda: RandomResizedCrop([1]), "size", r"\[1\]: expected one number"),
        (lambda: RandomResizedCrop(8, [0.5]), "area", r"\[0.5\]: expected \[smallest, largest\]"),
        (lambda: RandomResizedCrop(8, ratio=[2.0, 1.0]), "ratio", r"\[2.0, 1.0\]: expected"),
        (lambda: Pad([1, 2, 3]), "size", r"\[1, 2, 3\]: expected one number"),
        (lambda: Resize([5]), "size", r"\[5\]: expected one number"),
        (lambda: Erase(area=[0.3, 0.2]), "area", r"\[0.3, 0.2\]: expected"),
        (lambda: Erase(ratio=[3.0, 2.0]), "ratio", r"\[3.0, 2.0\]: expected"),
        (lambda: Affine(scale=[1.0, 2.0, 3.0]), "scale", r"\[1.0, 2.0, 3.0\]: expected"),
        (lambda: Affine(), "degrees", "needs degrees, translate, scale or shear"),
        (lambda: Normalize([0.5]), "std", "expected 1 numbers"),
        (lambda: Normalize([0.5, 0.5], [0.1]), "std", "expected 2 numbers"),
        (lambda: Normalize("train", [0.1]), "std", "comes with `mean: train`"),
    ],
)
def test_settings_that_do_not_fit_are_refused(make: Any, setting: str, message: str) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        make()
    assert caught.value.setting == setting


@pytest.mark.parametrize(
    "make",
    [
        lambda: CenterCrop([1, 2]), lambda: RandomCrop(3), lambda: RandomCrop(padding=1),
        lambda: RandomResizedCrop(8, [0.5, 0.5], [1.0, 1.0]), lambda: Erase(area=[0.2, 0.2]),
        lambda: Affine(degrees=1), lambda: Affine(translate=0.1), lambda: Affine(shear=1),
        lambda: Affine(scale=[0.5, 1.0]), lambda: Affine(scale=[1.0, 1.5]),
        lambda: Normalize([0.5], [0.1]), lambda: Normalize("train"),
    ],
)  # fmt: skip
def test_settings_that_fit_are_taken(make: Any) -> None:
    make()
