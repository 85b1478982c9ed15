"""How many CPU threads a training uses."""

from __future__ import annotations

import os
from typing import Literal

import torch

# Multiply-adds of one micro-batch's forward pass from which more threads pay.
WORTH_SHARING = 500_000_000


def choose_threads(setting: int | Literal["auto"], work: int) -> int:
    """The number of threads for `runtime.threads`; `auto` goes by `work` alone.

    `work` is the multiply-adds of one micro-batch forward (for linear layers: parameters times
    rows). The choice is never timed: 1 and 2 threads round differently, so a timing would make
    the same run give other bits on a busy day.
    """
    if setting != "auto":
        return setting
    return cores() if work >= WORTH_SHARING else 1


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Pins the threads of torch's operations."""
    torch.set_num_threads(count)
