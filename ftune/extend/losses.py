"""Registered losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ftune.errors import RequestError
from ftune.extend.signature import faults_in, place

if TYPE_CHECKING:
    from torch import Tensor


def own_loss(name: str, made: Callable[..., Any]) -> Callable[[Tensor, Tensor], Tensor]:
    """(outputs, y) -> [rows], checked each time. Raises RequestError for another signature."""
    function = made() if isinstance(made, type) else made
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise RequestError(
            f"{place(made)}: the loss `{name}` must take (outputs, y) and give one number a row"
        ) from None

    def each_row(outputs: Tensor, y: Tensor) -> Tensor:
        import torch

        with faults_in(made):
            losses = function(outputs, y)
        if not isinstance(losses, torch.Tensor) or losses.shape != (len(outputs),):
            shape = (
                list(losses.shape) if isinstance(losses, torch.Tensor) else type(losses).__name__
            )
            raise RequestError(
                f"{place(made)}: the loss `{name}` gives {shape} for {len(outputs)} rows; it must "
                "give one number a row (no mean: `reduction='none'`)"
            )
        return losses

    return each_row
