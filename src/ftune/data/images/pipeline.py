"""From image files to what a model receives: decoded, normalised, and augmented in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ftune.data import steps as chain
from ftune.data.features import Features
from ftune.data.frame import Array, Frame, exists
from ftune.data.images import keep
from ftune.data.images.decode import decoded, require_pillow, sizes_of
from ftune.data.images.keep import Pixels
from ftune.data.images.plan import Plan, fault_in, planned
from ftune.data.images.store import ImageStore
from ftune.data.pipeline import Kind
from ftune.data.steps import Step
from ftune.data.tables import TablePipeline
from ftune.data.target import Target, TargetKind, sorted_classes
from ftune.data.transforms.crop import CenterCrop
from ftune.data.transforms.normalize import Normalize
from ftune.data.transforms.pair import pair
from ftune.data.transforms.resize import Resize
from ftune.errors import CheckpointError, DataError

if TYPE_CHECKING:
    import torch

    from ftune.data.schema import Data

VERSION = 1
COLUMN = "image"
SMALL = 64
"""Images of at most so many pixels a side keep their size by default."""


@dataclass(frozen=True)
class ImagePipeline:
    """Transforms of one column of image paths, and of the targets.

    steps: in the order of the configuration; the state of `normalize` is {column: {mean, std}}.
    cache: where decoded images are kept; None: nowhere. fresh: what fitting decoded, for `inputs`.
    """

    kind: ClassVar[Kind] = "images"

    column: str
    steps: tuple[Step, ...]
    features: Features
    target: Target
    target_steps: tuple[Step, ...] = ()
    cache: Path | None = field(default=None, compare=False)
    fresh: dict[str, Pixels] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def fit(
        cls,
        data: Data,
        train: Frame,
        kind: TargetKind,
        prior: ImagePipeline | None = None,
        classes: Sequence[str] | None = None,
        tokenizer: str | None = None,  # noqa: ARG003
    ) -> ImagePipeline:
        """Decodes the training images and learns their mean and std, if `normalize` asks for it."""
        require_pillow()
        column = data.image or COLUMN
        prior = prior if data.statistics == "base" else None
        steps = _expanded(data.steps, train, column, prior)
        fault = fault_in(steps) or _other_columns(steps, column)
        if fault:
            raise DataError(f"data.transforms: {fault}")
        if kind == "classes" and classes is None:
            classes = sorted_classes(train[data.targets[0]])
        target = Target(data.targets, kind, tuple(classes or ()) if kind == "classes" else ())
        plan, cache = planned(steps), keep.folder(data.cache)
        paths = _paths(train, column)
        pixels = decoded(paths, column, plan.decode, cache)
        _check_colors(paths, column, plan, pixels)
        shape = (pixels.channels, *_size(paths, column, plan, pixels))
        fitted = [Step(step, _state(paths, step, column, pixels, prior)) for step in steps]
        outputs = _target_steps(data, train, target, prior)
        fresh = {_key(paths, column): pixels}
        features = Features(shape, None, {})
        return cls(column, tuple(fitted), features, target, outputs, cache, fresh)

    @property
    def columns(self) -> dict[str, str]:
        return {self.column: "text"}

    @property
    def codes(self) -> dict[str, tuple[str, ...]]:
        return {}

    @property
    def plan(self) -> Plan:
        return planned([step.transform for step in self.steps])

    def inputs(self, frame: Frame, train: bool = False) -> ImageStore:
        """Decodes what is not decoded yet. Raises DataError that names all files that are bad."""
        paths, plan = self.conform(frame), self.plan
        if not train:
            pixels = decoded(paths, self.column, plan.plain, self.cache)
            self._check(paths, pixels)
            return ImageStore(pixels, scale=self._scale, notes=pixels.notes)
        pixels = self._training(paths)
        self._check(paths, pixels)
        same = plan.finish is not None
        plain = None if same else decoded(paths, self.column, plan.plain, self.cache)
        numbered = [(i, step.transform) for i, step in enumerate(self.steps)]
        last = len(numbered) - len(plan.moving)
        return ImageStore(
            pixels, plain=plain, scale=self._scale, mix=plan.mix, notes=pixels.notes,
            moving=tuple(enumerate(plan.moving, last)),
            finish=tuple((0, step) for step in plan.finish or ()),
            erase=tuple(one for one in numbered if one[1].stage == "erase"),
        )  # fmt: skip

    def _training(self, paths: Frame) -> Pixels:
        """What fitting has decoded, once; else as any other."""
        key = _key(paths, self.column)
        if key in self.fresh:
            return self.fresh.pop(key)
        return decoded(paths, self.column, self.plan.decode, self.cache)

    @property
    def _scale(self) -> tuple[list[float], list[float]] | None:
        states = [step.state for step in self.steps if isinstance(step.transform, Normalize)]
        return (states[0][self.column]["mean"], states[0][self.column]["std"]) if states else None

    def _check(self, frame: Frame, pixels: Pixels) -> None:
        size, wanted = _size(frame, self.column, self.plan, pixels), self.features.shape
        if (pixels.channels, *size) != wanted:
            raise DataError(
                f"{frame.origin}: images of {_spoken(size)} pixels, but the model takes"
                f" {_spoken(wanted[1:])}; train with `resize` and `center_crop`, or bring them to"
                " that size"
            )

    def targets(self, frame: Frame) -> torch.Tensor:
        return self._answers.targets(frame)

    def invert(self, values: torch.Tensor) -> torch.Tensor:
        return self._answers.invert(values)

    @property
    def _answers(self) -> TablePipeline:
        """What is predicted is a column of a table, whatever it is predicted from."""
        return TablePipeline({}, (), self.features, self.target, self.target_steps)

    def conform(self, frame: Frame) -> Frame:
        """The column of paths alone; that of a folder stands for any name."""
        name = self.column if self.column in frame.columns else COLUMN
        if name not in frame.columns:
            raise DataError(
                f"{frame.origin}: no column `{self.column}` of image paths;"
                f" {exists(self.column, frame.columns)}"
            )
        paths = _paths(frame, name)[name]
        return Frame({self.column: paths}, frame.origin, frame.rows)

    def cached(self, cache: bool | str) -> ImagePipeline:
        """A restored pipeline knows no folder of this machine; this is the one of `data.cache`."""
        return replace(self, cache=keep.folder(cache))

    def to_json(self) -> dict[str, Any]:
        target = self.target
        return {
            "kind": self.kind,
            "version": VERSION,
            "column": self.column,
            "steps": chain.steps_to_json(self.steps),
            "shape": list(self.features.shape),
            "target": {
                "names": list(target.names),
                "kind": target.kind,
                "classes": list(target.classes),
            },
            "target_steps": chain.steps_to_json(self.target_steps),
        }

    def arrays(self) -> dict[str, Array]:
        """The arrays of the targets' state; that of the images is a few plain numbers."""
        return chain.steps_to_arrays(self.target_steps, "target_steps")

    @classmethod
    def restore(cls, stored: Mapping[str, Any], arrays: Mapping[str, Array]) -> ImagePipeline:
        """The inverse of `to_json` and `arrays`. Raises CheckpointError for another version."""
        if stored.get("version") != VERSION:
            raise CheckpointError(
                f"the image pipeline is of version {stored.get('version')}, not {VERSION}"
            )
        target = stored["target"]
        return cls(
            stored["column"],
            chain.restore_steps(stored["steps"], arrays, "steps"),
            Features(tuple(stored["shape"]), None, {}),
            Target(tuple(target["names"]), target["kind"], tuple(target["classes"])),
            chain.restore_steps(stored["target_steps"], arrays, "target_steps"),
        )


def _expanded(
    steps: Sequence[Any], train: Frame, column: str, prior: ImagePipeline | None
) -> list[Any]:
    """`auto` as what it stands for; its `normalize` goes behind whatever else is listed."""
    if not any(_is_auto(step) for step in steps):
        return list(steps)
    shapes = prior.plan.plain if prior else _shapes(sizes_of(_paths(train, column), column))
    result = [one for step in steps for one in (shapes if _is_auto(step) else (step,))]
    early = [step for step in result if getattr(step, "stage", "") not in ("erase", "mix")]
    late = [step for step in result if step not in early]
    given = any(isinstance(step, Normalize) for step in result)
    return [*early, *([] if given else [Normalize()]), *late]


def _is_auto(step: Any) -> bool:
    return hasattr(step, "steps")


def _shapes(sizes: Array) -> tuple[Any, ...]:
    """Small images as they are (of several sizes: at the largest short side); others 256 → 224."""
    if sizes.max() > SMALL:
        return Resize(256), CenterCrop(224)
    if (sizes == sizes[0]).all():
        return ()
    side = int(sizes.min(axis=1).max())
    return Resize(side), CenterCrop(side)


def _other_columns(steps: Sequence[Any], column: str) -> str:
    for step in steps:
        if column not in (getattr(step, "columns", None) or [column]):
            return f"`columns` {step.columns} leaves out the image column `{column}`"
    return ""


def _paths(frame: Frame, column: str) -> Frame:
    """The column alone, as texts. Raises DataError: absent, or no texts."""
    if frame.kind(column) != "text" and not frame.missing(column).all():
        raise DataError(
            f"{frame.origin}: data.image: column `{column}` holds {frame.kind(column)}s, not paths"
            " of images"
        )
    paths = frame[column]
    if paths.dtype.kind != "O":
        paths = np.full(len(frame), None, dtype=object)
    return Frame({column: paths}, frame.origin, frame.rows)


def _key(paths: Frame, column: str) -> str:
    return "\0".join([paths.origin, *map(str, paths[column])])


def _size(frame: Frame, column: str, plan: Plan, pixels: Pixels) -> tuple[int, int]:
    """(height, width) of what the model receives. Raises DataError where sizes differ."""
    if plan.plain and isinstance(plan.plain[-1], CenterCrop):
        height, width = pair(plan.plain[-1].size)
        return int(height), int(width)
    if pixels.alike:
        return pixels.largest
    sizes, first = np.unique(pixels.sizes, axis=0, return_index=True)
    shown = ", ".join(
        f"{frame[column][row]} {_spoken(pixels.sizes[row].tolist())}" for row in first[:3]
    )
    raise DataError(
        f"{frame.origin}: images of {len(sizes)} sizes ({shown}{', …' if len(sizes) > 3 else ''});"
        " a model needs one: add `resize: 256` and `center_crop: 224` to the transforms, or"
        " `resize: [height, width]`"
    )


def _spoken(size: Sequence[int]) -> str:
    return f"{size[1]} × {size[0]}"


def _check_colors(frame: Frame, column: str, plan: Plan, pixels: Pixels) -> None:
    """Colours are changed in whole batches, so images have one size by then."""
    alike = pixels.alike
    for step in plan.moving:
        if step.stage == "color" and not alike:
            raise DataError(
                f"{frame.origin}: the images of `{column}` have several sizes where their colours"
                " are changed; in data.transforms, write the crop before color_jitter and"
                " randaugment"
            )
        alike = alike or getattr(step, "size", None) is not None


def _state(
    frame: Frame, step: Any, column: str, pixels: Pixels, prior: ImagePipeline | None
) -> dict[str, dict[str, Any]]:
    """Mean and std of each channel, from 0 to 1: given, the base's, or of the training images."""
    if not isinstance(step, Normalize):
        return {}
    known = step.given or (prior._scale if prior else None)
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


def _target_steps(
    data: Data, train: Frame, target: Target, prior: ImagePipeline | None
) -> tuple[Step, ...]:
    if target.kind == "numbers":
        before = prior.target_steps if prior else ()
        return chain.fit_steps(data.target_transforms, target.numbers(train), before)[0]
    if data.target_transforms:
        raise DataError("data.target_transforms: only numbers can be transformed, not classes")
    return ()
