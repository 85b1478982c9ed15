"""How much memory this process holds, and the most it held since a moment."""

from __future__ import annotations

from pathlib import Path

import torch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEAK_ONLY = "5"
"""Written to `clear_refs` it sets the peak to what is resident now; see proc(5)."""


def used(device: torch.device) -> int | None:
    """Return the bytes in use: of torch's tensors on a GPU, else the resident set of the process.

    None where the system does not say.
    """
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS")


def peak(device: torch.device) -> int | None:
    """Return the most bytes in use since `restart_peak`, or since the process began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM")


def restart_peak(device: torch.device) -> None:
    """Begin anew to look for the peak, where the system lets us."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR.exists():
        CLEAR.write_text(PEAK_ONLY, encoding="ascii")


def _status(name: str) -> int | None:
    if not CLEAR.exists():
        return None
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
