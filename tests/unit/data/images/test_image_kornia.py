"""The door to kornia's augmentations."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from ftune.data.images import uniform
from ftune.data.store import RngKey
from ftune.data.transforms.kornia import Kornia
from ftune.errors import DataError, MissingExtraError

BLUR = Kornia("RandomGaussianBlur", {"kernel_size": [3, 3], "sigma": [0.1, 2.0], "p": 0.7})


def pictures() -> torch.Tensor:
    return torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0)) * 255


def drawn(epoch: int = 0, step: Kornia = BLUR) -> Any:
    import numpy as np

    return uniform.uniforms(RngKey(3, epoch), np.arange(6), 0, step.draws)


def test_a_row_depends_on_its_number_alone() -> None:
    u = drawn()
    whole = BLUR.color(pictures(), u)
    torch.manual_seed(99)
    parts = [BLUR.color(pictures()[i : i + 1], u[i : i + 1]) for i in (5, 0, 3)]
    assert torch.equal(torch.cat(parts), whole[[5, 0, 3]])
    assert not torch.equal(whole, BLUR.color(pictures(), drawn(epoch=1)))


def test_it_is_kornias() -> None:
    from kornia.augmentation import RandomGaussianBlur

    u = drawn()
    torch.manual_seed(int(u[2, 0] * 2**53))
    theirs = RandomGaussianBlur((3, 3), (0.1, 2.0), p=0.7)(pictures()[2:3] / 255)
    assert torch.equal(BLUR.color(pictures(), u)[2:3], theirs * 255)


def test_the_generator_of_the_training_is_left_alone() -> None:
    torch.manual_seed(5)
    BLUR.color(pictures(), drawn())
    BLUR.require(3)
    found = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(found, torch.rand(3))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Kornia("RandomGausianBlur"), "did you mean `RandomGaussianBlur`"),
        (Kornia("RandomCrop"), "write `random_crop`"),
        (Kornia("RandomMosaic"), "no augmentation of kornia that can be used here"),
        (Kornia("nn"), "no augmentation of kornia"),
        (Kornia("RandomGaussianBlur"), "kernel_size"),
        (Kornia("RandomGaussianBlur", {"kernel": 3}), "kernel"),
        (Kornia("RandomGamma", {"gamma": "much"}), "kornia: RandomGamma"),
    ],
)
def test_what_cannot_be_used_is_said(step: Kornia, said: str) -> None:
    with pytest.raises(DataError) as caught:
        step.require(3)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_kornia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"ftune\[images\]"):
        Kornia(BLUR.augmentation, BLUR.settings).require(3)


def test_settings_reach_kornia_with_their_ranges_as_tuples() -> None:
    from kornia.augmentation import RandomAffine

    settings = {"degrees": [10, 30], "translate": [0.1, 0.2], "scale": [0.8, 1.2], "p": 1.0}
    step = Kornia("RandomAffine", settings)
    u = drawn(step=step)
    result = step.color(pictures(), u)
    for row in range(6):
        torch.manual_seed(int(u[row, 0] * 2**53))
        theirs = RandomAffine((10, 30), translate=(0.1, 0.2), scale=(0.8, 1.2), p=1.0)
        expected = theirs(pictures()[row : row + 1] / 255) * 255
        assert torch.equal(result[row : row + 1], expected.clamp(0, 255))
    assert not torch.equal(result, pictures())


def test_results_stay_between_black_and_white() -> None:
    step = Kornia("RandomGaussianNoise", {"std": 2.0, "p": 1.0})
    result = step.color(pictures(), drawn(step=step))
    assert result.min() == 0 and result.max() == 255


def test_only_augmentations_that_leave_the_size_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from kornia import augmentation

    part = type("RandomPart", (augmentation.RandomCrop,), {})
    monkeypatch.setattr(augmentation, "RandomPart", part, raising=False)
    with pytest.raises(DataError, match="changes the size of images; use crop and resize"):
        Kornia("RandomPart", {"size": [8, 8]}).require(3)
    Kornia("RandomPart", {"size": [16, 16]}).require(3)
    Kornia("RandomPart", {"size": [16, 16]}).require(1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RandomErasing", "write `erase`"),
        ("RandomResizedCrop", "write `random_resized_crop`"),
        ("CenterCrop", "no augmentation of kornia that can be used here"),
        ("Resize", "no augmentation of kornia that can be used here"),
        ("Normalize", "no augmentation of kornia that can be used here"),
        ("RandomMixUpV2", "no augmentation of kornia that can be used here"),
        ("ColorJigle", "did you mean `ColorJiggle`"),
    ],
)
def test_what_we_have_or_cannot_use_is_named(name: str, hint: str) -> None:
    with pytest.raises(DataError) as caught:
        Kornia(name).require(3)
    assert str(caught.value).startswith(f"data.transforms: kornia: {name}: ")
    assert hint in str(caught.value)


def test_one_channel_is_tried_where_images_have_one() -> None:
    Kornia("RandomGaussianNoise", {"p": 1.0}).require(1)
    with pytest.raises(DataError, match="kornia: RandomRGBShift: "):
        Kornia("RandomRGBShift", {"p": 1.0}).require(1)
    Kornia("RandomRGBShift", {"p": 1.0}).require(3)


def test_the_first_line_of_a_fault_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for error, said in ((ValueError("  first\nsecond"), "first"), (KeyError(), "KeyError")):
        step = Kornia("RandomGaussianNoise")

        def fail(*_: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setitem(vars(step), "_made", fail)
        with pytest.raises(DataError) as caught:
            step.require(3)
        assert str(caught.value) == f"data.transforms: kornia: RandomGaussianNoise: {said}"


def test_lists_become_tuples_however_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    """kornia reads a range from a tuple, one value a channel from a list."""
    from kornia import augmentation

    given: dict[str, Any] = {}

    class RandomRecorded(augmentation.RandomGaussianNoise):  # type: ignore[misc]
        def __init__(self, **settings: Any) -> None:
            given.update(settings)
            super().__init__(p=1.0)

    monkeypatch.setattr(augmentation, "RandomRecorded", RandomRecorded, raising=False)
    settings = {"a": [1, [2, 3]], "b": {"c": [4.0, 5.0]}, "d": "text", "e": 6}
    Kornia("RandomRecorded", settings).require(3)
    assert given == {"a": (1, (2, 3)), "b": {"c": (4.0, 5.0)}, "d": "text", "e": 6}


class OnAGpu(torch.Tensor):
    """Says that it lies there."""

    is_cuda = True
    device = torch.device("cuda", 3)


def test_the_generator_of_a_gpu_is_put_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.manual_seed` sets it as well, and dropout goes on from it."""
    from contextlib import nullcontext

    kept: list[list[torch.device]] = []

    def fork(devices: Any) -> Any:
        kept.append(list(devices))
        return nullcontext()

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    step = Kornia("RandomGaussianNoise")
    monkeypatch.setitem(vars(step), "_made", lambda image: image)
    step.color(pictures(), drawn())
    step.color(pictures().as_subclass(OnAGpu), drawn())
    assert kept == [[], [torch.device("cuda", 3)]]
