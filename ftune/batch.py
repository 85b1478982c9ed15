"""What data, models and tasks agree on about a batch: a mapping of tensors.

x: the inputs. y: the targets, of rows or of positions. raw: numbers to predict as their file has
them. segments: of padded rows, which document a position is of, from 1; 0 is padding. row: the row
that each counted position is of. partner, share: of mixed images, the row that each was mixed with
and how much of itself is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IGNORE_INDEX = -100
"""The target of a position that no loss counts; torch's default."""


def to_device(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return a batch on the device."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
