"""From rows to what a model receives: fitted on the training rows, stored in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ftune.data import PIPELINES
from ftune.security.limits.form import of_form

if TYPE_CHECKING:
    import torch

    from ftune.data.features import Features
    from ftune.data.frame import Array, Frame
    from ftune.data.kind import Kind, TargetKind
    from ftune.data.lineage import Step
    from ftune.data.schema import Data
    from ftune.data.store import Store
    from ftune.data.target import Target
    from ftune.data.text.tokenizer import Tokenizer


class Pipeline(Protocol):
    """Fitted transforms of one kind of data.

    columns: the raw columns that the inputs are made from, with what each holds (Frame.kind).
    features: what the model receives, per row. target: what it predicts, with the fitted transforms
    of its numbers. notes: what fitting has to say; not stored.
    """

    @property
    def kind(self) -> Kind: ...
    @property
    def columns(self) -> dict[str, str]: ...
    @property
    def features(self) -> Features: ...
    @property
    def target(self) -> Target: ...
    @property
    def steps(self) -> tuple[Step, ...]: ...
    @property
    def tokenizer(self) -> Tokenizer | None: ...
    @property
    def target_steps(self) -> tuple[Step, ...]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def codes(self) -> dict[str, tuple[str, ...]]:
        """Of each ordinal column, what the codes from 0 stand for; empty but for tables."""

    def inputs(self, frame: Frame, train: bool = False) -> Store:
        """What the model receives; `train` allows what only training does (packing, augmenting)."""

    def targets(self, frame: Frame) -> torch.Tensor | None:
        """What it should give, a row; None where the inputs bring it themselves."""

    def raw_targets(self, frame: Frame) -> torch.Tensor | None:
        """Of numbers to predict, what the file says: float64 [rows, targets]; else None."""

    def invert(self, values: torch.Tensor) -> torch.Tensor:
        """Predicted numbers back in their own unit."""

    def conform(self, frame: Frame) -> Frame:
        """The raw columns as they were when fitted. Raises DataError where one is absent."""

    def cached(self, cache: bool | str) -> Pipeline:
        """With the folder of `data.cache`, which is this machine's and not stored."""

    def describe_rows(self, data: Data, numbers: Sequence[int]) -> list[str]:
        """Training rows as messages name them; of images also the file of each."""

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, with `kind` and `version`."""

    def arrays(self) -> dict[str, Array]:
        """The arrays of the fitted state, by names that `restore` knows."""


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
