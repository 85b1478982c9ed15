"""From rows to what a model receives: fitted on the training rows, stored in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from ftune.data import PIPELINES
from ftune.data import steps as chain
from ftune.data.kind import Kind
from ftune.data.target import Target
from ftune.errors import CheckpointError
from ftune.security.limits.form import of_form

if TYPE_CHECKING:
    import torch

    from ftune.data.features import Features
    from ftune.data.frame import Array, Frame
    from ftune.data.kind import TargetKind
    from ftune.data.lineage import Step
    from ftune.data.schema import Data
    from ftune.data.store import Store
    from ftune.data.text.tokenizer import Tokenizer

VERSION = 1


class Pipeline(Protocol):
    """Fitted transforms of one kind of data, with the defaults of what only some kinds have.

    called: its name in messages. columns: the raw columns that the inputs are made from, with what
    each holds (Frame.kind). features: what the model receives, per row. target: what it predicts,
    with the fitted transforms of its numbers. notes: what fitting has to say; not stored.
    """

    kind: ClassVar[Kind]
    called: ClassVar[str]

    if TYPE_CHECKING:  # a dataclass would take an inherited property for the default of its field

        @property
        def columns(self) -> dict[str, str]: ...
        @property
        def features(self) -> Features: ...
        @property
        def steps(self) -> tuple[Step, ...]: ...
        @property
        def target(self) -> Target: ...
        @property
        def target_steps(self) -> tuple[Step, ...]: ...
        @property
        def notes(self) -> tuple[str, ...]: ...

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Of texts: what cuts them."""
        return None

    @property
    def codes(self) -> dict[str, tuple[str, ...]]:
        """Of each ordinal column of a table, what the codes from 0 stand for."""
        return {}

    def inputs(self, frame: Frame, train: bool = False) -> Store:
        """What the model receives; `train` allows what only training does (packing, augmenting)."""

    def conform(self, frame: Frame) -> Frame:
        """The raw columns as they were when fitted. Raises DataError where one is absent."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, with `kind` and `version`."""

    def cached(self, cache: bool | str) -> Self:  # noqa: ARG002
        """Return the pipeline with the folder of `data.cache`; tables are read anew each time."""
        return self

    def describe_rows(self, data: Data, numbers: Sequence[int]) -> list[str]:  # noqa: ARG002
        """Name training rows for messages; numbers: those that their file counts from 1."""
        return [f"{number:,}" for number in numbers]

    def targets(self, frame: Frame) -> torch.Tensor | None:
        """Return what the model should give; None where the inputs bring it. Raises DataError."""
        return None if self.target.kind in ("tokens", "tags") else self.target_tensor(frame)

    def target_tensor(self, frame: Frame) -> torch.Tensor:
        """Return classes [rows] int64, or numbers or labels [rows, targets] float32.

        Raises DataError.
        """
        import torch

        self.target.check(frame)
        if self.target.kind == "classes":
            return self.target.class_numbers(frame)
        if self.target.kind == "labels":
            return self.target.label_values(frame)
        done = chain.apply_steps(self.target_steps, self.target.numbers(frame))
        return torch.from_numpy(np.stack(list(done.columns.values()), axis=1).astype(np.float32))

    def raw_targets(self, frame: Frame) -> torch.Tensor | None:
        """Return numbers as the file has them, float64 [rows, targets]; None for other targets.

        No metric can do with less: what a transform clips, ranks or rounds does not come back.
        """
        import torch

        if self.target.kind != "numbers":
            return None
        columns = self.target.numbers(frame).columns.values()
        return torch.from_numpy(np.stack(list(columns), axis=1).astype(np.float64, copy=False))

    def invert(self, values: torch.Tensor) -> torch.Tensor:
        """Return [rows, targets] predictions in the targets' own units, in the dtype given."""
        import torch

        if not self.target_steps:
            return values
        array = values.detach().to("cpu", torch.float64).numpy().copy()
        for step in reversed(self.target_steps):
            for i, name in enumerate(self.target.names):
                if name in step.state:
                    array[:, i] = step.transform.invert(array[:, i], step.state[name])
        return torch.from_numpy(array).to(values.device, values.dtype)

    def common_json(self) -> dict[str, Any]:
        """Return what every kind stores of itself, as JSON values."""
        return {
            "kind": self.kind,
            "version": VERSION,
            "target": self.target.to_json(),
            "target_steps": chain.steps_to_json(self.target_steps),
        }

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the fitted state, by names that `restore` knows."""
        fitted = chain.steps_to_arrays(self.steps, "steps")
        return fitted | chain.steps_to_arrays(self.target_steps, "target_steps")

    @classmethod
    def restored_targets(
        cls, stored: Mapping[str, Any], arrays: Mapping[str, Array]
    ) -> tuple[Target, tuple[Step, ...]]:
        """Return the target and its steps from a checkpoint. Raises CheckpointError: version."""
        version = stored.get("version")
        if version != VERSION:
            raise CheckpointError(
                f"the {cls.called} pipeline is of version {version}, not {VERSION}"
            )
        steps = chain.restore_steps(stored["target_steps"], arrays, "target_steps")
        return Target.of_json(stored["target"]), steps


def fit(
    data: Data,
    train: Frame,
    kind: TargetKind,
    prior: Pipeline | None = None,
    classes: Sequence[str] | None = None,
    tokenizer: str | None = None,
) -> Pipeline:
    """The pipeline of this kind of data; what `prior` knows already keeps its statistics.

    Of a `prior` of another kind only what it knows of the targets is taken over.
    tokenizer: the folder or file of the model whose tokenizer is to be used.
    """
    chosen: Any = PIPELINES[data.kind]
    pipeline: Pipeline = chosen.fit(data, train, kind, prior, classes, tokenizer)
    return pipeline


def restore(stored: Mapping[str, Any], arrays: Mapping[str, Array]) -> Pipeline:
    """The inverse of `to_json` and `arrays`. Raises CheckpointError for another version."""
    with of_form("the data pipeline in a checkpoint"):
        chosen: Any = PIPELINES[stored.get("kind", "table")]
        pipeline: Pipeline = chosen.restore(stored, arrays)
    return pipeline
