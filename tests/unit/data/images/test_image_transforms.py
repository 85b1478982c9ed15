"""What the random transforms draw, and what they make of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats  # type: ignore[import-untyped]

from ftune.config.read import SettingError
from ftune.data import TRANSFORMS
from ftune.data.images import randaugment
from ftune.data.images.boxes import boxes, middle
from ftune.data.images.store import ImageStore, resample
from ftune.data.images.uniform import uniforms
from ftune.data.images.warp import warped
from ftune.data.store import RngKey
from ftune.data.transforms.color_jitter import ColorJitter
from ftune.data.transforms.crop import RandomCrop, RandomResizedCrop
from ftune.data.transforms.erase import Erase
from ftune.data.transforms.flip import Flip
from ftune.data.transforms.mixup import Cutmix, Mixup
from ftune.data.transforms.randaugment import RandAugment
from ftune.data.transforms.rotate import Affine, Rotate, inverse_linear

Pixels = Callable[..., Any]
ROWS = np.arange(3000)
SIZES = np.tile([[30, 40]], (len(ROWS), 1))


def drawn(step: Any, rows: Any = ROWS, epoch: int = 0) -> Any:
    return uniforms(RngKey(0, epoch), rows, 0, step.draws)


def places(step: Any) -> Any:
    return step.place(drawn(step), SIZES)[0]


def uniform(values: Any, low: float, high: float) -> bool:
    return bool(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.001)


def test_flips_are_as_frequent_as_asked() -> None:
    for direction, axes in (("horizontal", (0,)), ("vertical", (1,)), ("both", (0, 1))):
        matrix = places(Flip(direction, 0.3))  # type: ignore[arg-type]
        for axis in (0, 1):
            share = (matrix[:, axis, axis] == -1).mean()
            assert share == pytest.approx(0.3 if axis in axes else 0, abs=0.03)
    both = places(Flip("both", 0.5))
    together = ((both[:, 0, 0] == -1) & (both[:, 1, 1] == -1)).mean()
    assert together == pytest.approx(0.25, abs=0.03)


def test_crops_begin_everywhere_equally_often() -> None:
    matrix = places(RandomCrop([20, 38], padding=1))
    for axis, places_there in ((1, 13), (0, 5)):
        starts, counts = np.unique(matrix[:, axis, 2], return_counts=True)
        assert starts.tolist() == list(range(-1, places_there - 1))
        assert stats.chisquare(counts).pvalue > 0.001


def test_a_small_image_stands_in_the_middle_of_its_crop() -> None:
    matrix = places(RandomCrop([50, 20]))
    assert (matrix[:, 1, 2] == -10).all() and len(set(matrix[:, 0, 2])) == 21


def test_angles_shifts_and_scales_are_uniform() -> None:
    matrix = places(Rotate(40))
    angles = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert uniform(angles, -40, 40) and not uniform(angles, -35, 35)
    matrix = places(Affine(translate=0.25))
    assert set(matrix[:, 0, 2]) == set(range(-10, 11))
    assert set(matrix[:, 1, 2]) == set(range(-7, 8))  # 7.5 is never reached
    matrix = places(Affine(scale=[0.5, 2.0]))
    assert uniform(1 / matrix[:, 0, 0], 0.5, 2.0)
    matrix = places(Affine(shear=20))
    for slants in (-matrix[:, 0, 1] / matrix[:, 0, 0], -matrix[:, 1, 0] / matrix[:, 0, 0]):
        assert uniform(np.degrees(np.arctan(slants)), -20, 20)


def test_an_affine_map_is_pillows_inverse() -> None:
    """scale · rotation · shear of a point, and back by the matrix that finds sources."""
    angle, x, y, scale = 0.4, 0.2, -0.1, 1.3
    forth = scale * np.array(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    forth = forth @ np.array([[1, math.tan(x)], [math.tan(y), 1]])
    back = inverse_linear(*(np.array([v]) for v in (angle, x, y, scale)))[0]
    assert np.allclose(back @ forth, np.eye(2))


def test_boxes_are_inceptions() -> None:
    u = uniforms(RngKey(0, 0), ROWS, 0, 22)
    sizes = np.tile([[300, 400]], (len(ROWS), 1))
    found, fits = boxes(u, sizes, [0.1, 0.3], [0.75, 4 / 3])
    assert fits.all()
    top, left, height, width = found.T
    assert (top >= 0).all() and (top + height <= 300).all()
    assert (left >= 0).all() and (left + width <= 400).all()
    assert uniform(height * width / 120_000, 0.1, 0.3)
    assert uniform(np.log(width / height), math.log(0.75), math.log(4 / 3))
    assert uniform((top + 0.5) / (300 - height + 1), 0, 1)
    _, fits = boxes(u, sizes, [1.0, 1.0], [5.0, 5.0])
    assert not fits.any()
    assert middle(np.array([[100, 400], [400, 100], [90, 100]]), [0.75, 4 / 3]).tolist() == [
        [0, 133, 100, 133], [133, 0, 133, 100], [0, 0, 90, 100],
    ]  # fmt: skip


def test_a_random_resized_crop_is_pillows(pixels: Pixels) -> None:
    image, step = pixels(0, 60, 80), RandomResizedCrop(32, area=[0.05, 0.2])
    x = torch.from_numpy(image)[None]
    for row in range(20):
        u = uniforms(RngKey(0, 0), np.array([row]), 0, step.draws)
        ours, _, alike = resample(x, np.array([[60, 80]]), False, [(step, u)])
        (top, left, height, width), _ = (
            v[0] for v in boxes(u, np.array([[60, 80]]), step.area, step.ratio)
        )
        part = Image.fromarray(image).crop((left, top, left + width, top + height))
        theirs = np.asarray(part.resize((32, 32), Image.Resampling.BILINEAR)).astype(float)
        # Beyond the crop's own rim Pillow repeats, we see the neighbouring pixel.
        assert alike and np.abs(ours[0].numpy() - theirs)[2:-2, 2:-2].max() < 1.5


def test_jitter_draws_between_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftune.data.images import color

    seen: dict[str, Any] = {}
    for name in ("brightness", "contrast", "saturation", "hue"):
        monkeypatch.setattr(color, name, lambda x, f, name=name: (seen.update({name: f}), x)[1])
    step = ColorJitter(0.4, 2.0, 0.1, 0.2)
    step.color(torch.zeros(1), drawn(step))
    bounds = {
        "brightness": (0.6, 1.4),
        "contrast": (0, 3),
        "saturation": (0.9, 1.1),
        "hue": (-0.2, 0.2),
    }
    assert list(seen) == list(bounds)
    assert all(uniform(seen[name], *bound) for name, bound in bounds.items())
    assert abs(np.corrcoef(seen["brightness"], seen["hue"])[0, 1]) < 0.05


OPERATIONS: dict[str, Any] = {
    "identity": lambda image, s: image,  # noqa: ARG005
    "autocontrast": lambda image, s: ImageOps.autocontrast(image),  # noqa: ARG005
    "equalize": lambda image, s: ImageOps.equalize(image),  # noqa: ARG005
    "solarize": lambda image, s: ImageOps.solarize(image, 128),  # noqa: ARG005
    "posterize": lambda image, s: ImageOps.posterize(image, 6),  # noqa: ARG005
    "saturation": lambda image, s: ImageEnhance.Color(image).enhance(1 + s * 0.45),
    "contrast": lambda image, s: ImageEnhance.Contrast(image).enhance(1 + s * 0.45),
    "brightness": lambda image, s: ImageEnhance.Brightness(image).enhance(1 + s * 0.45),
    "sharpness": lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + s * 0.45),
    "rotate": lambda image, s: image.rotate(s * 15, Image.Resampling.BILINEAR),
    "shear_x": lambda image, s: moved(image, (1, -s * 0.15, s * 0.15 * 20, 0, 1, 0)),
    "shear_y": lambda image, s: moved(image, (1, 0, 0, -s * 0.15, 1, s * 0.15 * 24)),
    "translate_x": lambda image, s: moved(image, (1, 0, -s * 10, 0, 1, 0)),
    "translate_y": lambda image, s: moved(image, (1, 0, 0, 0, 1, -s * 9)),
}


def moved(image: Image.Image, data: Any) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


@pytest.mark.parametrize("way", [0.2, 0.7])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_of_randaugment_is_pillows(pixels: Pixels, name: str, way: float) -> None:
    image = pixels(1, 40, 48)
    x = torch.from_numpy(image)[None].permute(0, 3, 1, 2).float()
    which = np.array([(randaugment.NAMES.index(name) + 0.5) / len(randaugment.NAMES)])
    ours = randaugment.augmented(x, which, np.array([way]), 0.5, 0)[0].permute(1, 2, 0).numpy()
    theirs = np.asarray(OPERATIONS[name](Image.fromarray(image), -1 if way < 0.5 else 1)).astype(
        float
    )
    far = (np.abs(ours - theirs) > 2.01).any(axis=-1).mean()
    assert far < 0.02, far
    other = np.asarray(OPERATIONS[name](Image.fromarray(image), 1.6)).astype(float)
    if name not in ("identity", "autocontrast", "equalize", "solarize", "posterize", "sharpness"):
        assert (np.abs(ours - other) > 2.01).any(axis=-1).mean() > 0.1


def test_operations_are_drawn_equally_often() -> None:
    step = RandAugment(ops=3)
    chosen = np.floor(drawn(step)[:, ::2] * len(randaugment.NAMES))
    for column in chosen.T:
        assert stats.chisquare(np.bincount(column.astype(int), minlength=14)).pvalue > 0.001


def test_randaugment_of_strength_0_changes_histograms_alone(pixels: Pixels) -> None:
    x = torch.from_numpy(pixels(2)).permute(2, 0, 1)[None].float().repeat(200, 1, 1, 1)
    step = RandAugment(ops=1, magnitude=0)
    u = drawn(step, np.arange(200))
    result = step.color(x, u)
    chosen = [randaugment.NAMES[int(v * 14)] for v in u[:, 0]]
    for name, before, after in zip(chosen, x, result, strict=True):
        changed = (before - after).abs().max() > 0.51
        if name not in ("autocontrast", "equalize", "solarize"):
            assert not changed, name


def test_erase_covers_what_it_says() -> None:
    step = Erase(0.6, [0.1, 0.2], [0.5, 2.0])
    x = torch.ones(1500, 2, 40, 40)
    rows = np.arange(1500)
    covered = (step.erase(x, drawn(step, rows)) == 0).float()
    assert (covered[:, 0] == covered[:, 1]).all()
    shares = covered[:, 0].mean(dim=(1, 2))
    hit = shares > 0
    assert float(hit.float().mean()) == pytest.approx(0.6, abs=0.04)
    assert shares[hit].min() > 0.09 and shares[hit].max() < 0.21
    tall, wide = covered[:, 0].amax(2).sum(1)[hit], covered[:, 0].amax(1).sum(1)[hit]
    assert torch.equal(tall * wide / 1600, shares[hit])  # one rectangle
    noise = Erase(1.0, [0.3, 0.3], [1.0, 1.0], fill="noise").erase(
        torch.ones(50, 3, 40, 40), drawn(step, np.arange(50))
    )
    inside = noise[noise != 1]
    assert abs(inside.mean()) < 0.02 and abs(inside.std() - 1) < 0.02
    assert not torch.equal(noise[0][noise[0] != 1], noise[1][noise[1] != 1])


@pytest.mark.parametrize("step", [Mixup(0.4), Cutmix(1.0)])
def test_mixed_targets_say_what_is_in_the_image(step: Any) -> None:
    store = ImageStore(None, mix=(step,))  # type: ignore[arg-type]
    x = torch.arange(8.0)[:, None, None, None].expand(8, 1, 30, 30).contiguous()
    shares = []
    for first in range(200):
        found = store.mix_rows(x, first, RngKey(0, 0))
        own, partner = torch.arange(8.0), found["partner"].float()
        expected = own * found["share"] + partner * (1 - found["share"])
        assert torch.allclose(found["x"].mean(dim=(1, 2, 3)), expected, atol=1e-4)
        assert sorted(found["partner"].tolist()) == list(range(8))
        shares.append(float(found["share"][0]))
    beta = stats.beta(step.alpha, step.alpha)
    if isinstance(step, Mixup):
        assert stats.kstest(shares, beta.cdf).pvalue > 0.001
        assert stats.kstest(shares, stats.beta(2, 2).cdf).pvalue < 0.001
    else:  # boxes are cut off at the rim, so more stays than was drawn
        assert 0.5 < np.mean(shares) < 0.75
    again = store.mix_rows(x, 7, RngKey(0, 0))
    assert torch.equal(again["x"], store.mix_rows(x, 7, RngKey(0, 0))["x"])
    assert again["share"][0] != store.mix_rows(x, 7, RngKey(0, 1))["share"][0]


def test_batches_are_mixed_as_often_as_asked_and_by_either() -> None:
    x = torch.arange(4.0)[:, None, None, None].expand(4, 1, 16, 16).contiguous()
    store = ImageStore(None, mix=(Mixup(0.4, probability=0.5),))  # type: ignore[arg-type]
    mixed = ["share" in store.mix_rows(x, first, RngKey(0, 0)) for first in range(400)]
    assert np.mean(mixed) == pytest.approx(0.5, abs=0.08)
    store = ImageStore(None, mix=(Mixup(0.4), Cutmix()))  # type: ignore[arg-type]
    whole = [store.mix_rows(x, first, RngKey(0, 0))["x"] for first in range(400)]
    pasted = [bool((one == one.round()).all()) for one in whole]
    assert np.mean(pasted) == pytest.approx(0.5, abs=0.08)
    assert set(store.mix_rows(x[:1], 0, RngKey(0, 0))) == {"x"}  # nobody to mix with


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: RandomCrop(), "size"),
        (lambda: RandomCrop([1, 2, 3]), "size"),
        (lambda: RandomResizedCrop(32, area=[0.5, 0.1]), "area"),
        (lambda: Affine(), "degrees"),
        (lambda: Affine(scale=[2.0, 1.0]), "scale"),
        (lambda: ColorJitter(), "brightness"),
        (lambda: Erase(ratio=[1.0]), "ratio"),
        (lambda: TRANSFORMS["normalize"]([0.5, 0.5]), "std"),
        (lambda: TRANSFORMS["normalize"]("imagenet", [0.5]), "std"),
    ],
)
def test_settings_that_do_not_go_together(make: Callable[[], Any], setting: str) -> None:
    with pytest.raises(SettingError) as caught:
        make()
    assert caught.value.setting == setting


def test_the_warp_of_randaugment_fills() -> None:
    x = torch.full((1, 3, 20, 20), 200.0)
    size, matrix = np.array([[20, 20]]), np.tile(np.eye(3), (1, 1, 1))
    matrix[:, 0, 2] = 5
    assert (warped(x, matrix, size, (20, 20), 9)[..., 15:] == 9).all()
    which = np.array([(randaugment.NAMES.index("translate_x") + 0.5) / 14])
    assert (randaugment.augmented(x, which, np.array([0.1]), 1.0, 9) == 9).any()
