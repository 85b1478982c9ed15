"""The transforms of images in the order in which they take place, and what that order must be.

shape      resize, pad, grayscale: once, when the file is decoded
place      crops, flips, rotations: where pixels come from; neighbours make one resampling
color      color_jitter, randaugment, kornia
normalize  wherever it stands among the former
erase      on normalised pixels
mix        mixup, cutmix: on whole batches
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ftune.data import TRANSFORMS
from ftune.data.transforms.crop import CenterCrop, RandomResizedCrop
from ftune.data.transforms.normalize import Normalize
from ftune.data.transforms.pair import pair
from ftune.data.transforms.resize import Resize

if TYPE_CHECKING:
    from PIL.Image import Image

LAST = ("normalize", "erase", "mix")


@dataclass(frozen=True)
class Bounded:
    """What random_resized_crop cuts from: the short side at most `short`, the long one twice that.

    Images are never enlarged; what is longer loses both ends.
    """

    short: int

    def on_image(self, image: Image) -> Image:
        if min(image.size) > self.short:
            image = Resize(self.short).on_image(image)
        longest = 2 * min(image.size)
        height, width = min(image.height, longest), min(image.width, longest)
        return CenterCrop([height, width]).on_image(image)


@dataclass(frozen=True)
class Plan:
    """What happens when.

    decode: shapes applied to each file for training. moving: places and colours, in order, on
    batches. finish: crops that turn training's pixels into those of evaluation; None where that
    needs another decoding, by `plain`. plain: shapes applied to each file for evaluation.
    """

    decode: tuple[Any, ...]
    moving: tuple[Any, ...]
    finish: tuple[Any, ...] | None
    plain: tuple[Any, ...]
    normalize: Normalize | None
    erase: tuple[Any, ...]
    mix: tuple[Any, ...]


def planned(steps: Sequence[Any]) -> Plan:
    """`steps` must have passed `fault_in`."""
    body = [step for step in steps if step.stage not in LAST]
    first = next((i for i, step in enumerate(body) if step.plain() != (step,)), len(body))
    decode, moving = tuple(body[:first]), tuple(body[first:])
    plain = tuple(shape for step in body for shape in step.plain())
    rest = plain[len(decode) :]
    cut = next((step for step in moving if isinstance(step, RandomResizedCrop)), None)
    if cut is not None and not decode:
        decode = (Bounded(round(1.5 * max(pair(cut.size)))),)
    finish = rest if all(isinstance(step, CenterCrop) for step in rest) else None
    return Plan(
        decode, moving, None if cut else finish, plain,
        next((step for step in steps if step.stage == "normalize"), None),
        tuple(step for step in steps if step.stage == "erase"),
        tuple(step for step in steps if step.stage == "mix"),
    )  # fmt: skip


def fault_in(steps: Sequence[Any]) -> str:
    """Why these transforms cannot prepare images, in words; empty where they can.

    Needs neither torch nor data, so that a configuration is checked by it; `auto` fits anywhere.
    """
    steps = [step for step in steps if not step.placeholder]
    names = [TRANSFORMS.name_of(type(step)) for step in steps]
    before: list[tuple[str, Any]] = []
    for name, step in zip(names, steps, strict=True):
        wrong = next((other for other, done in before if not _may_follow(step, done)), None)
        if wrong:
            return f"`{name}` cannot stand after `{wrong}`; write it before"
        before.append((name, step))
    grey = any(step.removes_color for step in steps)
    for name, step in zip(names, steps, strict=True):
        if grey and step.needs_color:
            return f"`{name}` changes colours that `grayscale` removed; leave one of them out"
    return ""


def _may_follow(step: Any, done: Any) -> bool:
    """Whether `step` may stand somewhere behind `done`."""
    if step.stage == "normalize":
        return bool(done.stage != "normalize")
    if step.stage in LAST:
        return bool(step.stage == "mix" or done.stage != "mix")
    if step.stage == "color":
        return bool(done.stage not in LAST)
    random = bool(done.plain() != (done,))
    return done.stage not in ("erase", "mix") and not (step.stage == "shape" and random)
