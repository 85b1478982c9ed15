"""How a batch goes through a model, whatever kind of model it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ftune.batch import IGNORE_INDEX
from ftune.models.chunked import rows_at_once

if TYPE_CHECKING:
    from torch import Tensor, nn


def call(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """The model's outputs; text models also get the segments of their rows."""
    outputs: Tensor = model(*arguments(batch))
    return outputs


def arguments(batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return (batch["x"], batch["segments"]) if "segments" in batch else (batch["x"],)


def counted(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return the outputs and the batch at what the targets count.

    For one target a row these are all rows. For one a position only those whose target is not
    -100: outputs [n, outputs], y [n], and `row` [n], the row each is of. A model that can is asked
    for these alone: a vocabulary is much wider than the states it is projected from.
    """
    if not has_positions(batch):
        return call(model, batch), batch
    head = output_layer(model)
    if head is None:
        counts = batch["y"] != IGNORE_INDEX
        return call(model, batch)[counts], _at(batch, counts)
    states, counting = counted_states(model, batch)
    return head(states), counting


def counted_in_chunks(
    model: nn.Module, batch: Mapping[str, Tensor]
) -> Iterator[tuple[Tensor, Mapping[str, Tensor]]]:
    """Yield what `counted` returns, of a wide output layer for some whole rows at a time."""
    head = output_layer(model) if has_positions(batch) else None
    if head is None:
        yield counted(model, batch)
        return
    states, counting = counted_states(model, batch)
    most = rows_at_once(len(next(head.parameters())))
    for chunk in _whole_rows(counting["row"].bincount().tolist(), most):
        part = {"y": counting["y"][chunk], "row": counting["row"][chunk]}
        yield head(states[chunk]), {**counting, **part}


def _whole_rows(sizes: list[int], most: int) -> Iterator[slice]:
    """Yield the positions of rows of these sizes, at most so many at once, or of one row."""
    begin = end = 0
    for size in sizes:
        if begin < end and end + size - begin > most:
            yield slice(begin, end)
            begin = end
        end += size
    if begin < end:
        yield slice(begin, end)


def counted_states(
    model: nn.Module, batch: Mapping[str, Tensor]
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Return what reaches the output layer, [n, features], and the batch, as `counted` does."""
    counts = batch["y"] != IGNORE_INDEX
    hidden: Tensor = model.hidden(*arguments(batch))  # type: ignore[operator]
    return hidden[counts], _at(batch, counts)


def output_layer(model: nn.Module) -> nn.Module | None:
    """Return the module that makes outputs of `model.hidden`; None where there is no such."""
    layer: nn.Module | None = getattr(model, "output_layer", None)
    return layer


def has_positions(batch: Mapping[str, Tensor]) -> bool:
    """Return whether the targets are one a position, not one a row."""
    y = batch.get("y")
    return y is not None and y.dim() == 2 and not y.is_floating_point()


def _at(batch: Mapping[str, Tensor], counts: Tensor) -> Mapping[str, Tensor]:
    return {**batch, "y": batch["y"][counts], "row": counts.nonzero()[:, 0]}


def targets(batch: Mapping[str, Tensor]) -> int:
    """Return how many targets of a batch count: rows, or positions whose target is not -100."""
    return int((batch["y"] != IGNORE_INDEX).sum()) if has_positions(batch) else len(batch["x"])


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
