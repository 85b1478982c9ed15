"""How a batch goes through a model, whatever kind of model it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ftune.batch import IGNORE_INDEX

if TYPE_CHECKING:
    from torch import Tensor, nn


def call(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The model's outputs; text models also get the segments of their rows."""
    outputs: Tensor = model(*arguments(batch))
    return outputs


def arguments(batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return (batch["x"], batch["segments"]) if "segments" in batch else (batch["x"],)


def counted(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Outputs and batch at what the targets count.

    For one target a row these are all rows. For one a position only those whose target is not
    -100: outputs [n, outputs], y [n], and `row` [n], the row each is of. A model that can is asked
    for these alone: a vocabulary is much wider than the states it is projected from.
    """
    y = batch.get("y")
    if y is None or not _by_position(y):
        return call(model, batch), batch
    counts = y != IGNORE_INDEX
    counting = {**batch, "y": y[counts], "row": counts.nonzero()[:, 0]}
    project = getattr(model, "project", None)
    if project is None:
        return call(model, batch)[counts], counting
    return project(model.hidden(*arguments(batch))[counts]), counting  # type: ignore[operator]


def targets(batch: Mapping[str, Tensor]) -> int:
    """How many targets of a batch count: its rows, or positions whose target is not -100."""
    y = batch.get("y")
    if y is not None and _by_position(y):
        return int((y != IGNORE_INDEX).sum())
    return len(batch["x"])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards each module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _by_position(y: Tensor) -> bool:
    return y.dim() == 2 and not y.is_floating_point()
