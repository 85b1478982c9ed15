"""Tables: columns to numbers by fitted transforms, the same ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ftune.config.spelling import nearest
from ftune.data import sequences
from ftune.data import steps as chain
from ftune.data.conform import converted
from ftune.data.features import Features, check_codes, features_of, to_tensor
from ftune.data.fit_targets import fit_targets
from ftune.data.frame import Array, Frame, exists
from ftune.data.kind import Kind, TargetKind
from ftune.data.lineage import Step
from ftune.data.pipeline import Pipeline
from ftune.data.ranges import Ranges, ranges_of
from ftune.data.sequences import Ragged, Steps
from ftune.data.store import Dense
from ftune.data.takeover import statistics_notes
from ftune.data.target import Target, target_of
from ftune.errors import DataError

if TYPE_CHECKING:
    from ftune.data.schema import Data


@dataclass(frozen=True)
class TablePipeline(Pipeline):
    """Fitted transforms of inputs and targets.

    columns: the raw columns that the inputs are made from, with what each holds (Frame.kind).
    features: what the model receives, per row. target: what it predicts. notes: what fitting has to
    say; not stored. ranges: of the numbers of the training rows; runs of 0.1 have none.
    """

    kind: ClassVar[Kind] = "table"
    called: ClassVar[str] = "data"

    columns: dict[str, str]
    steps: tuple[Step, ...]
    features: Features
    target: Target
    target_steps: tuple[Step, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    ranges: Ranges = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        data: Data,
        train: Frame,
        kind: TargetKind,
        prior: Pipeline | None = None,
        classes: Sequence[str] | None = None,
        tokenizer: str | None = None,  # noqa: ARG003
    ) -> TablePipeline:
        """Learns from the training rows; columns keep what `prior` knows of them, see `fit_steps`.

        `classes` are the class names in order; by default those of `train`, sorted.
        """
        target = target_of(data, kind, train, classes)
        target_steps, about_targets = fit_targets(data, train, target, prior)
        older = prior if isinstance(prior, TablePipeline) else None
        base = older if data.statistics != "refit" else None
        left_out = [*target.names, *([data.split.group] if data.split.group else [])]
        raw = _like_base(train.without(left_out), base, data)
        if not raw.columns:
            raise DataError(
                f"{train.origin}: no columns are left as inputs beside {', '.join(left_out)}"
            )
        over = sequences.steps_of(raw) if raw.named("sequence") else None
        flat = over.frame if over else raw
        notes: list[str] = list(over.notes) if over else []
        known = (base.steps, _kinds(base, flat, over)) if base else ((), {})
        before = [step.transform for step in older.steps] if older else []
        steps, frame = chain.fit_steps(
            data.steps, flat, *known, notes, before, data.statistics == "keep"
        )
        features = features_of(frame, steps)
        check_codes(frame, features)
        needed = _needed(flat, steps)
        if over:
            features = sequences.shaped(features, over.lengths)
            needed = list(dict.fromkeys(over.raw[name] for name in needed))
        columns = {name: str(raw.kind(name)) for name in needed}
        sentences = (*_about_base(base, flat, steps, over), *notes, *about_targets)
        ranges = {name: ends for name, ends in ranges_of(raw).items() if name in columns}
        return cls(columns, steps, features, target, target_steps, sentences, ranges)

    def inputs(self, frame: Frame, train: bool = False) -> Dense | Ragged:  # noqa: ARG002
        """[rows, *features.shape] float32, or rows of their own lengths.

        Raises DataError where a column is absent or unknown.
        """
        frame, features = self.conform(frame), self.features
        if not features.time:
            return Dense(to_tensor(chain.apply_steps(self.steps, frame), features))
        over = sequences.steps_of(frame)
        flat = replace(features, shape=features.shape[1:])
        x = to_tensor(chain.apply_steps(self.steps, over.frame), flat)
        return sequences.store_of(x, over.lengths, features, frame)

    def conform(self, frame: Frame) -> Frame:
        """The raw columns as they were when fitted, in that order; others are left out."""
        absent = [name for name in self.columns if name not in frame.columns]
        if absent:
            near = nearest(absent[0], [n for n in frame.columns if n not in self.columns])
            raise DataError(
                f"{frame.origin}: lacks the columns {', '.join(f'`{n}`' for n in absent[:5])}"
                f"{' …' if len(absent) > 5 else ''} that the training data had; "
                + (f"did you mean `{near}`?" if near else exists("", frame.columns))
            )
        columns = {name: converted(frame, name, kind) for name, kind in self.columns.items()}
        return Frame(columns, frame.origin, frame.rows)

    @property
    def codes(self) -> dict[str, tuple[str, ...]]:
        from ftune.data.transforms.ordinal import Ordinal

        states = [step.state for step in self.steps if isinstance(step.transform, Ordinal)]
        return {
            name: ("(unknown)", *learned["categories"])
            for state in states
            for name, learned in state.items()
        }

    def to_json(self) -> dict[str, Any]:
        features = self.features
        return self.common_json() | {
            "columns": dict(self.columns),
            "steps": chain.steps_to_json(self.steps),
            "ranges": {name: list(ends) for name, ends in self.ranges.items()},
            "features": {
                "shape": list(features.shape),
                "names": None if features.names is None else list(features.names),
                "categories": dict(features.categories),
                **({"time": True, "ragged": features.ragged} if features.time else {}),
            },
        }

    @classmethod
    def restore(cls, stored: Mapping[str, Any], arrays: Mapping[str, Array]) -> TablePipeline:
        target, target_steps = cls.restored_targets(stored, arrays)
        features = stored["features"]
        names = features["names"]
        restored = cls(
            dict(stored["columns"]),
            chain.restore_steps(stored["steps"], arrays, "steps"),
            Features(
                tuple(features["shape"]),
                None if names is None else tuple(names),
                dict(features["categories"]),
                time=features.get("time", False),
                ragged=features.get("ragged", False),
            ),
            target,
            target_steps,
            ranges={name: (low, high) for name, (low, high) in stored.get("ranges", {}).items()},
        )
        _apply_to_no_rows(restored)
        return restored


_NO_ROWS: dict[str, Array] = {
    "number": np.empty(0), "text": np.empty(0, object), "date": np.empty(0, "datetime64[s]"),
    "flag": np.empty(0, np.uint8), "code": np.empty(0, np.int64),
}  # fmt: skip


def _apply_to_no_rows(pipeline: TablePipeline) -> None:
    """Apply what was restored once, where a statistic that is absent is still a damaged file's."""
    rows = np.empty(0, np.int64)
    if set(pipeline.columns.values()) <= set(_NO_ROWS):
        columns = {name: _NO_ROWS[kind] for name, kind in pipeline.columns.items()}
        chain.apply_steps(pipeline.steps, Frame(columns, "", rows))
    targets = dict.fromkeys(pipeline.target.names, _NO_ROWS["number"])
    chain.apply_steps(pipeline.target_steps, Frame(targets, "", rows))


def _needed(raw: Frame, steps: Sequence[Step]) -> list[str]:
    """The raw columns without those that leading select, drop and drop_constant leave out."""
    from ftune.data.transforms.columns import Drop, DropConstant, Select

    for step in steps:
        if not isinstance(step.transform, Drop | DropConstant | Select):
            break
        raw = step.transform.apply(raw, step.state)
    return list(raw.columns)


def _like_base(raw: Frame, base: TablePipeline | None, data: Data) -> Frame:
    """The columns that the base knows as it knows them, except where the file declares a type."""
    declared = data.source.declared_types
    kinds = {
        name: kind
        for name, kind in (base.columns if base else {}).items()
        if name in raw.columns and name not in declared
    }
    return raw.with_columns({name: converted(raw, name, kind) for name, kind in kinds.items()})


def _kinds(base: TablePipeline, flat: Frame, over: Steps | None) -> dict[str, str]:
    """What the columns of a base hold as transforms see them: of sequences, the steps'."""
    if not over:
        return base.columns
    return {name: flat.kind(name) for name, raw in over.raw.items() if raw in base.columns}


def _about_base(
    base: TablePipeline | None, flat: Frame, steps: Sequence[Step], over: Steps | None
) -> list[str]:
    if base is None:
        return []
    kinds = _kinds(base, flat, over)
    known = chain.fits_of(base.steps, kinds)
    fits = chain.fits_of(steps, chain.kinds_of(flat))
    return statistics_notes(known, fits, kinds, flat.columns)
