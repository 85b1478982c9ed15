"""Which random numbers a transform asks for, and that each of them decides something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ftune.data.frame import Array
from ftune.data.transforms.color_jitter import ColorJitter
from ftune.data.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from ftune.data.transforms.erase import Erase
from ftune.data.transforms.flip import Flip
from ftune.data.transforms.kornia import Kornia
from ftune.data.transforms.mixup import Cutmix, Mixup
from ftune.data.transforms.normalize import Normalize
from ftune.data.transforms.pad import Pad
from ftune.data.transforms.randaugment import RandAugment
from ftune.data.transforms.resize import Resize
from ftune.data.transforms.rotate import Affine, Rotate

ROWS = 400
SIZES = np.tile([[30, 40]], (ROWS, 1))
# The shapes are so extreme that each of the ten tries is needed by some row.
HARD = {"area": [0.3, 1.0], "ratio": [0.05, 20.0]}
COUNTS: dict[str, tuple[Any, int]] = {
    "flip": (Flip("both"), 2),  # one for each direction
    "random_crop": (RandomCrop([8, 8]), 2),  # top and left
    "random_resized_crop": (RandomResizedCrop(8, **HARD), 22),  # ten tries of two, top and left
    "rotate": (Rotate(30), 1),
    "affine": (Affine(30, 0.3, [0.5, 2.0], 20), 6),  # angle, scale, two shears, two shifts
    "color_jitter": (ColorJitter(0.4, 0.4, 0.4, 0.2), 4),
    "randaugment": (RandAugment(ops=3), 6),  # which and which way
    "erase": (Erase(0.5, **HARD, fill="noise"), 24),  # whether, the noise, and a box
    "kornia": (Kornia("RandomGaussianNoise", {"p": 1.0}), 1),
}  # fmt: skip


def numbers(count: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((ROWS, count))


def pictures() -> torch.Tensor:
    small = torch.rand(ROWS, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    return (small * 255).round()


def result(step: Any, u: Array) -> Any:
    if step.stage == "place":
        return torch.from_numpy(step.place(u, SIZES)[0])
    return step.color(pictures(), u) if step.stage == "color" else step.erase(pictures(), u)


@pytest.mark.parametrize("name", COUNTS)
def test_each_number_decides_something(name: str) -> None:
    """One too many would be drawn for nothing, one too few would stand for two."""
    step, count = COUNTS[name]
    assert step.draws == count
    u, other = numbers(count), numbers(count, seed=1)
    before = result(step, u)
    assert torch.equal(before, result(step, u.copy()))
    for column in range(count):
        changed = u.copy()
        changed[:, column] = other[:, column]
        assert not torch.equal(before, result(step, changed)), column


def test_height_and_width_are_drawn_apart() -> None:
    matrix, _ = RandomCrop([10, 10]).place(numbers(2), np.tile([[110, 110]], (ROWS, 1)))
    assert abs(np.corrcoef(matrix[:, 0, 2], matrix[:, 1, 2])[0, 1]) < 0.15
    matrix, _ = Flip("both").place(numbers(2), SIZES)
    assert abs(np.corrcoef(matrix[:, 0, 0], matrix[:, 1, 1])[0, 1]) < 0.15


def test_randaugment_is_its_operations_one_after_the_other() -> None:
    from ftune.data.images.randaugment import augmented

    x, u = pictures(), numbers(4)
    once = augmented(x, u[:, 0], u[:, 1], 12 / 30, 7)
    twice = augmented(once, u[:, 2], u[:, 3], 12 / 30, 7)
    assert torch.equal(RandAugment(ops=2, magnitude=12.0, fill=7).color(x, u), twice)
    assert not torch.equal(RandAugment(ops=2, magnitude=12.0).color(x, u), twice)
    assert RandAugment().needs_color is False  # the operations do not ask for colours


@pytest.mark.parametrize(
    "step",
    [Flip(), Rotate(5), Affine(5), ColorJitter(0.1), Erase(), RandAugment(), Mixup(), Cutmix(),
     Kornia("RandomGaussianNoise"), RandomCrop(padding=2)],
)  # fmt: skip
def test_what_is_random_is_left_out_of_evaluation(step: Any) -> None:
    assert step.plain() == ()


def test_what_is_not_random_stays_in_evaluation() -> None:
    for step in (CenterCrop(3), Pad(9), Resize(4), Normalize()):
        assert step.plain() == (step,)
    assert RandomCrop([3, 5], padding=1).plain() == (CenterCrop([3, 5]),)
    # As ImageNet is evaluated: the short side 256, of which 224 are cut out.
    assert RandomResizedCrop(224).plain() == (Resize(256), CenterCrop(224))
    assert RandomResizedCrop([224, 224]).plain() == (Resize(256), CenterCrop([224, 224]))
    assert RandomResizedCrop([224, 112]).plain() == (Resize([256, 128]), CenterCrop([224, 112]))
    assert RandomResizedCrop(100).plain()[0] == Resize(114)  # 114.3
    assert RandomResizedCrop([100, 55]).plain()[0] == Resize([114, 63])  # 62.9
    assert CenterCrop(3).draws == 0


@pytest.mark.parametrize("step", [CenterCrop(3), RandomCrop(3), Flip()])
def test_what_moves_whole_pixels_says_so(step: Any) -> None:
    """Else it would be computed as an average of pixels, in floats."""
    assert step.exact is True


@pytest.mark.parametrize("step", [Rotate(3), Affine(3), RandomResizedCrop(3)])
def test_what_does_not_says_so(step: Any) -> None:
    assert step.exact is False


def test_what_needs_colours_is_what_changes_them() -> None:
    assert ColorJitter(saturation=0.1).needs_color and ColorJitter(hue=0.1).needs_color
    assert not ColorJitter(brightness=0.1, contrast=0.1).needs_color
    assert Kornia("RandomGaussianNoise").needs_color is False
