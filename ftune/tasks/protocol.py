"""What the engine asks of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ftune.config.read import SettingError
from ftune.config.spelling import suggestion
from ftune.tasks import LOSSES

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Batch = Mapping[str, "Tensor"]
Direction = Literal["max", "min"]

DIRECTIONS: Mapping[str, Direction] = {
    "loss": "min", "perplexity": "min", "rmse": "min", "mae": "min", "r2": "max",
    "accuracy": "max", "exact": "max", "macro_f1": "max", "entity_f1": "max",
    "f1": "max", "precision": "max", "recall": "max", "auc": "max",
}  # fmt: skip
"""Which way is better, of every metric that ftune knows."""


def directions_of(*names: str) -> dict[str, Direction]:
    """Those of a task's metrics; `r2/NAME` goes as `r2`."""
    return {name: DIRECTIONS[name.partition("/")[0]] for name in names}


def check_loss(name: str, known: Sequence[str]) -> None:
    """Raises SettingError for a loss that is neither built in nor registered."""
    accepted = [*known, *LOSSES]
    if name not in accepted:
        raise SettingError("loss", f"`{name}`: {suggestion(name, accepted)}")


class Metric(Protocol):
    """Metrics of a stream of batches, accumulated in float64 where the outputs are."""

    def update(self, outputs: Tensor, batch: Batch) -> None:
        """Takes in one batch; outputs: [batch, outputs]."""

    def state(self) -> Mapping[str, Any]:
        """What was seen so far, as values that can be sent to another process."""

    def merge(self, state: Mapping[str, Any]) -> None:
        """Adds what other metrics of the same task saw of other rows."""

    def compute(self) -> dict[str, float]:
        """Every metric so far; NaN where it is not defined, as for no rows at all."""

    def details(self) -> list[dict[str, Any]]:
        """The same by class, label or target: one row of a table each."""


class Task(Protocol):
    """A task on given data."""

    @property
    def outputs(self) -> int:
        """Size of the model's output."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """What each output stands for."""

    @property
    def directions(self) -> Mapping[str, Direction]:
        """Which way is better, for every metric of `metrics`."""

    @property
    def positions(self) -> bool:
        """Whether there is a target for each position of a text, not for each row."""

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor | float]:
        """The sum of the weighted losses over what counts, and the total weight.

        outputs: [rows, outputs], or of positions, only those that count.
        """

    def weight(self, batch: Batch) -> Tensor | float:
        """What `loss` weighs a batch by, or a number in proportion, without any outputs."""

    def metrics(self) -> Metric:
        """Return metrics that have seen no rows."""

    def predictions(self, outputs: Tensor) -> dict[str, list[str] | np.ndarray]:
        """Columns of a table of predictions; outputs: [rows, outputs]."""

    def answers(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What a metric of the user's compares: `predictions`, `targets`, perhaps `probabilities`.

        Classes and labels as numbers, quantities in their own unit.
        """
