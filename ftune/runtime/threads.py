"""How many CPU threads a training uses."""

from __future__ import annotations

import os
from typing import Literal

# Multiply-adds of one micro-batch's forward pass that make a further thread pay.
#
# Measured with torch 2.13 on 2 cores: forward, cross entropy, backward and fused AdamW in fp32,
# 1 and 2 threads in alternation, medians of 5 to 7. Speed of 2 threads over 1, on an idle
# machine and on one with another process running:
#
#     network, batch                multiply-adds   idle   busy
#     MLP 128-128-10, 64                   2.2 M    0.70   0.32
#     conv 16-16 on 16x16, 64             75   M    1.29   0.65
#     MLP 512-512-10, 256                136   M    1.68   0.62
#     conv 32-32 on 16x16, 64            302   M    1.42   0.59
#     MLP 1024-1024-10, 256              539   M    1.68   0.66
#     conv 64-64 on 16x16, 64          1,208   M    1.51
#     MLP 2048-2048-10, 2048          17,222   M    1.63
#
# What a busy machine loses weighs most for small steps, of which there are many: the line is
# drawn where a step takes about 25 ms on one thread. More than 2 cores: by extrapolation.
SHARE = 150_000_000


def choose_threads(setting: int | Literal["auto"], work: int) -> int:
    """The number of threads for `runtime.threads`; `auto` goes by `work` and the cores alone.

    `work` is the multiply-adds of one micro-batch forward (for linear layers: parameters times
    rows). The choice is never timed: 1 and 2 threads round differently, so a timing would make
    the same run give other bits on a busy day.
    """
    if setting != "auto":
        return setting
    return max(1, min(cores(), work // SHARE))


def cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
