"""The number type that a training computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from ftune.errors import RequestError

_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_NOTHING = nullcontext()


@dataclass(frozen=True)
class Precision:
    """Mixed precision on a device: `dtype` is None for plain fp32.

    Weights and optimizer state stay in fp32; autocast picks the type of each operation.
    """

    name: str
    device: torch.device
    dtype: torch.dtype | None

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for the forward pass and the loss; shared and empty for fp32."""
        if self.dtype is None:
            return _NOTHING
        return torch.autocast(self.device.type, self.dtype)

    @property
    def scales(self) -> bool:
        """Whether small gradients would vanish unless the loss is scaled up (fp16)."""
        return self.dtype is torch.float16

    def scaler(self) -> torch.amp.GradScaler | None:
        """A new loss scaler where one is needed."""
        return torch.amp.GradScaler(self.device.type) if self.scales else None


def choose_precision(setting: str, device: torch.device) -> Precision:
    """What `train.precision` means on `device`; auto is bf16 on CUDA hardware that has it.

    Raises RequestError for a precision that the device cannot train in.
    """
    if setting == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        setting = "bf16" if native else "fp32"
    if setting == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise RequestError("train.precision: this GPU has no bf16; write fp16 or fp32")
    return Precision(setting, device, _TYPES[setting])
