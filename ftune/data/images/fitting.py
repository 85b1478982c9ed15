"""What an image pipeline learns from the training images, and what it asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ftune.data.frame import Array, Frame
from ftune.data.images.decode import sizes_of
from ftune.data.images.pixels import Pixels
from ftune.data.images.plan import Plan
from ftune.data.images.prior import COLUMN, FittedImages, fits_of_images, past_of
from ftune.data.lineage import agreeing
from ftune.data.transforms.crop import CenterCrop
from ftune.data.transforms.normalize import Normalize
from ftune.data.transforms.pair import pair
from ftune.data.transforms.resize import Resize
from ftune.errors import DataError

SMALL = 64
"""Images of at most so many pixels a side keep their size by default."""


def expanded(
    steps: Sequence[Any], train: Frame, column: str, prior: FittedImages | None
) -> list[Any]:
    """`auto` as what it stands for, of a base what that did, augmentation apart.

    Its `normalize` goes behind whatever else is listed.
    """
    if not any(step.placeholder for step in steps):
        return list(steps)
    shapes = prior.plan.plain if prior else _shapes(sizes_of(paths_of(train, column), column))
    usual = prior.plan.normalize if prior else Normalize()
    result = [part for step in steps for part in (shapes if step.placeholder else (step,))]
    early = [step for step in result if step.stage not in ("erase", "mix")]
    late = [step for step in result if step not in early]
    given = usual is None or any(isinstance(step, Normalize) for step in result)
    return [*early, *([] if given else [usual]), *late]


def _shapes(sizes: Array) -> tuple[Any, ...]:
    """Small images as they are (of several sizes: at the largest short side); others 256 → 224."""
    if sizes.max() > SMALL:
        return Resize(256), CenterCrop(224)
    if (sizes == sizes[0]).all():
        return ()
    side = int(sizes.min(axis=1).max())
    return Resize(side), CenterCrop(side)


def other_columns(steps: Sequence[Any], column: str) -> str:
    for step in steps:
        if column not in (step.columns or [column]):
            return f"`columns` {step.columns} leaves out the image column `{column}`"
    return ""


def paths_of(frame: Frame, column: str) -> Frame:
    """The column alone, as texts. Raises DataError: absent, or no texts."""
    if frame.kind(column) not in ("text", "image") and not frame.missing(column).all():
        raise DataError(
            f"{frame.origin}: data.image: column `{column}` holds {frame.kind(column)}s, not paths"
            " of images"
        )
    paths = frame[column]
    if paths.dtype.kind != "O":
        paths = np.full(len(frame), None, dtype=object)
    return Frame({column: paths}, frame.origin, frame.rows)


def identity(paths: Frame, column: str) -> str:
    return "\0".join([paths.origin, *map(str, paths.rows), *map(str, paths[column])])


def size_of_all(frame: Frame, column: str, plan: Plan, pixels: Pixels) -> tuple[int, int]:
    """(height, width) of what the model receives. Raises DataError where sizes differ."""
    if plan.plain and isinstance(plan.plain[-1], CenterCrop):
        height, width = pair(plan.plain[-1].size)
        return int(height), int(width)
    if pixels.alike:
        return pixels.largest
    sizes, first = np.unique(pixels.sizes, axis=0, return_index=True)
    shown = ", ".join(
        f"{frame[column][row]} {spoken(pixels.sizes[row].tolist())}" for row in first[:3]
    )
    raise DataError(
        f"{frame.origin}: images of {len(sizes)} sizes ({shown}{', …' if len(sizes) > 3 else ''});"
        " a model needs one: add `resize: 256` and `center_crop: 224` to the transforms, or"
        " `resize: [height, width]`"
    )


def spoken(size: Sequence[int]) -> str:
    return f"{size[1]} × {size[0]}"


def check_colors(frame: Frame, column: str, plan: Plan, pixels: Pixels) -> None:
    """Colours are changed in whole batches, so images have one size by then."""
    alike = pixels.alike
    for step in plan.moving:
        if step.stage == "color" and not alike:
            raise DataError(
                f"{frame.origin}: the images of `{column}` have several sizes where their colours"
                " are changed; in data.transforms, write the crop before color_jitter and"
                " randaugment"
            )
        alike = alike or step.fixes_size


def state_of(
    frame: Frame, step: Any, column: str, pixels: Pixels, plan: Plan, prior: FittedImages | None
) -> dict[str, dict[str, Any]]:
    """Mean and std of each channel, from 0 to 1: given, the base's, or of the training images.

    The base's are those of images after the same shapes and crops.
    """
    if not isinstance(step, Normalize):
        return {}
    fit = agreeing(fits_of_images(prior), COLUMN, past_of(column, plan), step)
    known = step.given or ((fit.state["mean"], fit.state["std"]) if fit else None)
    if known and len(known[0]) not in (1, pixels.channels):
        raise DataError(
            f"{frame.origin}: data.transforms: normalize has {len(known[0])} channels, the images"
            f" {pixels.channels}; give one number for each, or `grayscale: {{channels: 3}}`"
        )
    mean, std = known or _statistics(pixels)
    return {column: {"mean": list(mean), "std": list(std)}}


def _statistics(pixels: Pixels) -> tuple[list[float], list[float]]:
    """From a histogram of each channel, whole numbers: exact in whatever order files come."""
    counts, block = np.zeros((pixels.channels, 256)), pixels.channels * 2**22
    for start in range(0, len(pixels.flat), block):
        part = np.asarray(pixels.flat[start : start + block])
        for channel in range(pixels.channels):
            counts[channel] += np.bincount(part[channel :: pixels.channels], minlength=256)
    levels = np.arange(256) / 255
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    std = np.sqrt((shares * (levels - mean[:, None]) ** 2).sum(axis=1))
    return mean.tolist(), [deviation or 1.0 for deviation in std.tolist()]
