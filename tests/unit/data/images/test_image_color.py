"""Colours against Pillow and kornia."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from ftune.data.images import color

Pixels = Callable[..., Any]
FACTORS = [0.0, 0.4, 1.0, 1.7]


def floats(image: Any) -> torch.Tensor:
    return torch.from_numpy(image.copy())[None].permute(0, 3, 1, 2).float()


def difference(ours: torch.Tensor, theirs: Image.Image) -> float:
    return float(np.abs(ours[0].permute(1, 2, 0).numpy() - np.asarray(theirs).astype(float)).max())


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
        ("sharpness", ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_pillows(name: str, enhancer: Any, factor: float) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    ours = getattr(color, name)(floats(image), np.array([factor]))
    # Pillow rounds its mean, its grey and its smooth image to whole levels before it blends.
    assert difference(ours, enhancer(Image.fromarray(image)).enhance(factor)) < 2.01
    assert difference(ours, enhancer(Image.fromarray(image)).enhance(factor + 0.3)) > 3


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_posterize_is_pillows(pixels: Pixels, bits: int) -> None:
    image = pixels(1)
    ours = color.posterize(floats(image), np.array([float(bits)]))
    assert difference(ours, ImageOps.posterize(Image.fromarray(image), bits)) == 0


@pytest.mark.parametrize("threshold", [0, 100, 255])
def test_solarize_is_pillows(pixels: Pixels, threshold: int) -> None:
    image = pixels(2)
    ours = color.solarize(floats(image), np.array([float(threshold)]))
    assert difference(ours, ImageOps.solarize(Image.fromarray(image), threshold)) == 0


def test_autocontrast_is_pillows(pixels: Pixels) -> None:
    image = pixels(3) // 2 + 30
    ours = color.autocontrast(floats(image))
    assert difference(ours, ImageOps.autocontrast(Image.fromarray(image))) < 1.01
    assert difference(ours, Image.fromarray(image)) > 10


def test_equalize_is_pillows(pixels: Pixels) -> None:
    image = pixels(4, 48, 64)
    assert difference(color.equalize(floats(image)), ImageOps.equalize(Image.fromarray(image))) == 0


@pytest.mark.parametrize("name", ["equalize", "autocontrast"])
def test_a_single_colour_stays(name: str) -> None:
    x = torch.full((2, 3, 8, 8), 91.0)
    assert (getattr(color, name)(x) == x).all()


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.25, 0.5])
def test_hue_is_kornias(pixels: Pixels, turn: float) -> None:
    from kornia.enhance import adjust_hue

    x = floats(pixels(5))
    theirs = adjust_hue(x / 255, turn * 2 * torch.pi) * 255
    assert (color.hue(x, np.array([turn])) - theirs).abs().max() < 0.02
    assert (color.hue(x, np.array([turn + 0.1])) - theirs).abs().max() > 5


@pytest.mark.parametrize("factor", FACTORS)
def test_jitter_is_kornias(pixels: Pixels, factor: float) -> None:
    from kornia import enhance

    x, f = floats(pixels(6)), np.array([factor])
    pairs = [
        (color.brightness, enhance.adjust_brightness_accumulative),
        (color.contrast, enhance.adjust_contrast_with_mean_subtraction),
        (color.saturation, enhance.adjust_saturation_with_gray_subtraction),
    ]
    for ours, theirs in pairs:
        # The mean grey is of whole levels: at most half a level away from kornia's.
        assert (ours(x, f) - theirs(x / 255, factor) * 255).abs().max() < 0.5, ours


def test_greys_have_no_hue() -> None:
    x = torch.arange(256.0).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert (color.hue(x, np.array([0.3])) == x).all()
    assert (color.saturation(x, np.array([1.7])) - x).abs().max() < 1e-3
