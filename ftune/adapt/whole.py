"""Whether the weights that a training starts from are numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ftune.adapt.quantize import is_quantised


def broken_tensor(model: nn.Module) -> tuple[str, str]:
    """The first tensor that holds NaN, or of the parameters an infinity, and how many; or "".

    A buffer may be infinite: masks of attention are.
    """
    for name, parameter in model.named_parameters():
        if not is_quantised(parameter) and (fault := _told(parameter, ~torch.isfinite(parameter))):
            return name, fault
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and (fault := _told(buffer, torch.isnan(buffer))):
            return name, fault
    return "", ""


def _told(tensor: Tensor, broken: Tensor) -> str:
    count = int(broken.sum())
    kind = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    return f"{kind} in {count:,} of its {tensor.numel():,} values" if count else ""
