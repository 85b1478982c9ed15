"""From image files to what a model receives: decoded, normalised, and augmented in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ftune.data import steps as chain
from ftune.data.disk_cache import cache_folder
from ftune.data.features import Features
from ftune.data.fit_targets import fit_targets
from ftune.data.frame import Array, Frame, exists
from ftune.data.images.decode import decoded, faulty, require_pillow
from ftune.data.images.fitting import (
    check_colors,
    expanded,
    identity,
    other_columns,
    paths_of,
    size_of_all,
    spoken,
    state_of,
)
from ftune.data.images.pixels import Pixels
from ftune.data.images.plan import Plan, fault_in, planned
from ftune.data.images.prior import COLUMN, about_base
from ftune.data.images.store import ImageStore
from ftune.data.kind import Kind, TargetKind
from ftune.data.lineage import Step
from ftune.data.pipeline import Pipeline
from ftune.data.target import Target, target_of
from ftune.data.transforms.normalize import Normalize
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class ImagePipeline(Pipeline):
    """Transforms of one column of image paths, and of the targets.

    steps: in the order of the configuration; the state of `normalize` is {column: {mean, std}}.
    cache: where decoded images are kept; None: nowhere. fresh: what fitting decoded, for `inputs`.
    notes: what fitting has to say. None of these is stored.
    """

    kind: ClassVar[Kind] = "images"
    called: ClassVar[str] = "image"

    column: str
    steps: tuple[Step, ...]
    features: Features
    target: Target
    target_steps: tuple[Step, ...] = ()
    cache: Path | None = field(default=None, compare=False)
    fresh: dict[str, Pixels] = field(default_factory=dict, compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def fit(
        cls,
        data: Data,
        train: Frame,
        kind: TargetKind,
        prior: Pipeline | None = None,
        classes: Sequence[str] | None = None,
        tokenizer: str | None = None,  # noqa: ARG003
    ) -> ImagePipeline:
        """Decodes the training images and learns their mean and std, if `normalize` asks for it."""
        require_pillow()
        column = data.picture
        base = prior if isinstance(prior, ImagePipeline) and data.statistics != "refit" else None
        steps = expanded(data.steps, train, column, base)
        fault = fault_in(steps) or other_columns(steps, column)
        if fault:
            raise DataError(f"data.transforms: {fault}")
        target = target_of(data, kind, train, classes)
        plan, cache = planned(steps), cache_folder(data.cache, "images")
        paths = paths_of(train, column)
        pixels = decoded(paths, column, plan.decode, cache)
        check_colors(paths, column, plan, pixels)
        for step in plan.moving:
            step.require(pixels.channels)
        shape = (pixels.channels, *size_of_all(paths, column, plan, pixels))
        fitted = [Step(step, state_of(paths, step, column, pixels, plan, base)) for step in steps]
        outputs, notes = fit_targets(data, train, target, prior)
        fresh = {identity(paths, column): pixels}
        features = Features(shape, None, {})
        pipeline = cls(column, tuple(fitted), features, target, outputs, cache, fresh)
        return replace(pipeline, notes=(*about_base(data, base, pipeline), *notes))

    @property
    def columns(self) -> dict[str, str]:
        return {self.column: "text"}

    @property
    def plan(self) -> Plan:
        return planned([step.transform for step in self.steps])

    def inputs(self, frame: Frame, train: bool = False) -> ImageStore:
        """Decodes what is not decoded yet. Raises DataError that names all files that are bad."""
        paths, plan = self.conform(frame), self.plan
        if not train:
            pixels = decoded(paths, self.column, plan.plain, self.cache)
            self._check(paths, pixels)
            return ImageStore(pixels, scale=self.scale, notes=pixels.notes)
        pixels = self._training(paths)
        self._check(paths, pixels)
        same = plan.finish is not None
        plain = None if same else decoded(paths, self.column, plan.plain, self.cache)
        return ImageStore(
            pixels, plain=plain, scale=self.scale, mix=plan.mix, notes=pixels.notes,
            moving=tuple(enumerate(plan.moving)),
            finish=tuple((0, step) for step in plan.finish or ()),
            erase=tuple(enumerate(plan.erase, len(plan.moving))),
        )  # fmt: skip

    def unusable(self, frame: Frame) -> dict[int, str]:
        """By position, why the image of a row cannot be read; nothing is kept of the others."""
        return faulty(self.conform(frame), self.column, self.plan.plain)

    def _training(self, paths: Frame) -> Pixels:
        """What fitting has decoded, once; else as any other."""
        key = identity(paths, self.column)
        if key in self.fresh:
            return self.fresh.pop(key)
        return decoded(paths, self.column, self.plan.decode, self.cache)

    @property
    def scale(self) -> tuple[list[float], list[float]] | None:
        """Mean and std of each channel, of pixels from 0 to 1; None without `normalize`."""
        states = [step.state for step in self.steps if isinstance(step.transform, Normalize)]
        return (states[0][self.column]["mean"], states[0][self.column]["std"]) if states else None

    def _check(self, frame: Frame, pixels: Pixels) -> None:
        size, wanted = size_of_all(frame, self.column, self.plan, pixels), self.features.shape
        if (pixels.channels, *size) != wanted:
            raise DataError(
                f"{frame.origin}: images of {spoken(size)} pixels, but the model takes"
                f" {spoken(wanted[1:])}; train with `resize` and `center_crop`, or bring them to"
                " that size"
            )

    def conform(self, frame: Frame) -> Frame:
        """The column of paths alone; that of a folder stands for any name."""
        name = self.column if self.column in frame.columns else COLUMN
        if name not in frame.columns:
            raise DataError(
                f"{frame.origin}: no column `{self.column}` of image paths;"
                f" {exists(self.column, frame.columns)}"
            )
        paths = paths_of(frame, name)[name]
        return Frame({self.column: paths}, frame.origin, frame.rows)

    def describe_rows(self, data: Data, numbers: Sequence[int]) -> list[str]:
        """Name each row with its file, from the source: nothing else needs the names."""
        frames = data.source.load()
        frame = frames.get("train", next(iter(frames.values())))
        paths = frame[self.column] if self.column in frame.columns else ()
        names = dict(zip(frame.rows.tolist(), paths, strict=False))
        return [f"{n:,} ({names[n]})" if n in names else f"{n:,}" for n in numbers]

    def cached(self, cache: bool | str) -> ImagePipeline:
        return replace(self, cache=cache_folder(cache, "images"))

    def to_json(self) -> dict[str, Any]:
        return self.common_json() | {
            "column": self.column,
            "steps": chain.steps_to_json(self.steps),
            "shape": list(self.features.shape),
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], arrays: Mapping[str, Array]) -> ImagePipeline:
        target, target_steps = cls.restored_targets(stored, arrays)
        return cls(
            stored["column"],
            chain.restore_steps(stored["steps"], arrays, "steps"),
            Features(tuple(stored["shape"]), None, {}),
            target,
            target_steps,
        )
