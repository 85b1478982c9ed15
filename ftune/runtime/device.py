"""Which device a run computes on."""

from __future__ import annotations

import torch

from ftune.errors import RequestError


def choose(device: str) -> torch.device:
    """The device that `runtime.device` means on this machine.

    Raises RequestError, with what there is, for a device that is not there.
    """
    devices = available()
    if device == "auto":
        return torch.device(devices[0])
    wanted = torch.device("cuda:0" if device == "cuda" else device)
    if str(wanted) not in devices:
        raise RequestError(
            f"runtime.device: torch {torch.__version__} finds no `{device}` on this machine; "
            f"it finds {', '.join(devices)}"
        )
    return wanted


def available() -> list[str]:
    """The usable devices, fastest first; the CPU is always last."""
    devices = (
        [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]
